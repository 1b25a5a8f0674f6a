//! Columns of text for people, and numbers as they read them.

use tollgate_core::money::NANOS_PER_UNIT;

use crate::escape::shown;

/// The widest that a name is shown.
const MAX_NAME: usize = 40;

/// A table: names to the left, numbers to the right.
#[derive(Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
}

struct Column {
    title: &'static str,
    cells: Vec<String>,
    to_the_left: bool,
}

impl Table {
    /// A table with a first column of names.
    pub(crate) fn new<'a>(
        title: &'static str,
        names: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Self {
        Self::default().names(title, names)
    }

    /// One more column of names: whatever somebody sent.
    pub(crate) fn names<'a>(
        mut self,
        title: &'static str,
        names: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Self {
        let cells = names.into_iter().map(|name| name.map_or("-".to_owned(), cut)).collect();
        self.columns.push(Column { title, cells, to_the_left: true });
        self
    }

    /// One more column. Without any cell that says something, it is left out.
    pub(crate) fn column(
        mut self,
        title: &'static str,
        cells: impl IntoIterator<Item = String>,
    ) -> Self {
        let cells: Vec<String> = cells.into_iter().collect();
        if cells.iter().any(|cell| cell.contains(|c: char| c.is_ascii_digit() && c != '0')) {
            self.columns.push(Column { title, cells, to_the_left: false });
        }
        self
    }

    pub(crate) fn render(&self) -> String {
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        let widths: Vec<usize> = self
            .columns
            .iter()
            .map(|column| {
                let cells = column.cells.iter().map(String::as_str).chain([column.title]);
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in 0..=rows {
            let mut line = String::new();
            for (number, (column, width)) in self.columns.iter().zip(&widths).enumerate() {
                let between = if number == 0 { "" } else { "  " };
                let cell = match row.checked_sub(1) {
                    None => column.title,
                    Some(row) => column.cells.get(row).map_or("", String::as_str),
                };
                match column.to_the_left {
                    true => line.push_str(&format!("{between}{cell:<width$}")),
                    false => line.push_str(&format!("{between}{cell:>width$}")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A name as it is shown, and not all of it where it is long.
pub(crate) fn cut(name: &str) -> String {
    cut_to(name, MAX_NAME)
}

/// The same, where a line has less room: so many characters, and a mark.
pub(crate) fn cut_to(name: &str, width: usize) -> String {
    let name = shown(name);
    match name.char_indices().nth(width) {
        None => name,
        Some((end, _)) => format!("{}…", name.get(..end).unwrap_or_default()),
    }
}

/// `1,234,567`
pub(crate) fn grouped(number: u128) -> String {
    group(&number.to_string())
}

fn group(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nano-units in decimal, all digits that there are: `0.0001575`.
pub(crate) fn amount(nanos: u128) -> String {
    let unit = u128::from(NANOS_PER_UNIT);
    let (whole, fraction) = (nanos / unit, nanos % unit);
    match fraction {
        0 => whole.to_string(),
        _ => format!("{whole}.{fraction:09}").trim_end_matches('0').to_owned(),
    }
}

/// The same for people, one below the other: `1,234.50` and `0.25`.
pub(crate) fn grouped_amounts(nanos: &[u128]) -> Vec<String> {
    let amounts: Vec<String> = nanos.iter().map(|nanos| amount(*nanos)).collect();
    let parts: Vec<(&str, &str)> =
        amounts.iter().map(|amount| amount.split_once('.').unwrap_or((amount, ""))).collect();
    let decimals = parts.iter().map(|(_, fraction)| fraction.len()).max().unwrap_or(0);
    let padded = |(whole, fraction): (&str, &str)| match decimals {
        0 => group(whole),
        _ => format!("{}.{fraction:0<decimals$}", group(whole)),
    };
    parts.into_iter().map(padded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tollgate_core::money::Amount;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567"), (12_345, "12,345")]
        {
            assert_eq!(grouped(number), text);
        }
        let amounts = grouped_amounts(&[1_234_560_000_000, 0, 1_500_000]);
        assert_eq!(amounts, ["1,234.5600", "0.0000", "0.0015"]);
        assert_eq!(grouped_amounts(&[1_000_000_000_000, 0]), ["1,000", "0"]);
    }

    #[test]
    fn a_table_is_aligned_and_lacks_what_is_empty() {
        let names = [Some("a"), None, Some("x\u{1b}[2J")];
        let cells = |cells: [&str; 3]| cells.map(str::to_owned);
        let table = Table::new("client", names)
            .column("n", cells(["1", "22", "0"]))
            .column("gone", cells(["0", "", "0"]));
        assert_eq!(
            table.render(),
            "client       n\n\
             a            1\n\
             -           22\n\
             x\\u{1b}[2J   0\n"
        );
    }

    #[test]
    fn names_may_have_several_columns() {
        let table = Table::new("client", [Some("a"), Some("bcd")])
            .names("m", [None, Some("xyz")])
            .column("n", ["1", "20"].map(str::to_owned));
        assert_eq!(
            table.render(),
            "client  m     n\n\
             a       -     1\n\
             bcd     xyz  20\n"
        );
    }

    #[test]
    fn a_long_name_is_cut() {
        assert_eq!(cut(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
        assert_eq!(cut(&"é".repeat(40)), "é".repeat(40));
    }

    proptest! {
        #[test]
        fn amounts_are_those_of_the_log(nanos: u64) {
            let expected = Amount::from_nanos(nanos);
            prop_assert_eq!(amount(nanos.into()).into_bytes(), expected.as_bytes());
        }
    }
}
