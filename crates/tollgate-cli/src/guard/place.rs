//! Where something stands in a text, as editors count.

/// Lines and columns of a text, asked for in the order of places.
pub(super) struct Places<'t> {
    text: &'t str,
    /// Up to where the text has been counted, and what line and column that is.
    at: usize,
    line: usize,
    column: usize,
}

impl<'t> Places<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    /// The line and the column of this byte, both from 1 on; a column is a character. Of a byte before one that was
    /// asked for, the place of that one.
    pub(super) fn of(&mut self, byte: usize) -> (usize, usize) {
        for character in self.text.get(self.at..byte).unwrap_or_default().chars() {
            match character {
                '\n' => (self.line, self.column) = (self.line + 1, 1),
                _ => self.column += 1,
            }
        }
        self.at = self.at.max(byte);
        (self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters() {
        let text = "é1\n\nab\r\nc";
        let mut places = Places::new(text);
        let found: Vec<_> = [0, 2, 3, 4, 5, 6, 9].map(|byte| places.of(byte)).into();
        assert_eq!(found, [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2), (4, 1)]);
    }
}
