//! The header lines of `tollgate_security_headers`: what browsers shall not do with an answer.
//!
//! What is in an answer already stays as it is: whoever made it knows better what it is.

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// It goes out over TLS.
    pub is_tls: bool,
    /// It is an error of ours, of nginx or of the engine: nothing in it needs to be loaded. A page of the
    /// operator's is none.
    pub is_plain_error: bool,
}

/// The names of all of them.
pub const NAMES: [&str; 4] = [
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Content-Security-Policy",
    "Strict-Transport-Security",
];
const CSP: &str = "frame-ancestors 'none'";
const CSP_OF_ERRORS: &str = "default-src 'none'; frame-ancestors 'none'";
/// A year, for this host alone.
const HSTS: &str = "max-age=31536000";

const SHORTEST: usize = NAMES[1].len();

/// Which of them an answer has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present([bool; NAMES.len()]);

impl Present {
    /// Notes a header line of the answer, by its name in any case.
    #[inline]
    pub fn note(&mut self, name: &[u8]) {
        // Most names are shorter than any of these.
        if name.len() >= SHORTEST {
            self.note_long(name);
        }
    }

    fn note_long(&mut self, name: &[u8]) {
        for (is_there, known) in self.0.iter_mut().zip(NAMES) {
            *is_there |= known.as_bytes().eq_ignore_ascii_case(name);
        }
    }
}

/// Gives `emit` the name and value of each header line that the answer lacks.
pub fn write(nature: Nature, present: Present, mut emit: impl FnMut(&'static str, &'static str)) {
    let csp = if nature.is_plain_error { CSP_OF_ERRORS } else { CSP };
    let values = ["nosniff", "no-referrer", csp, HSTS];
    let said = if nature.is_tls { NAMES.len() } else { NAMES.len() - 1 };
    for ((name, value), is_there) in NAMES.into_iter().zip(values).zip(present.0).take(said) {
        if !is_there {
            emit(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(
        is_tls: bool,
        is_plain_error: bool,
        there: &[&str],
    ) -> Vec<(&'static str, &'static str)> {
        let mut out = Vec::new();
        let mut present = Present::default();
        there.iter().for_each(|name| present.note(name.as_bytes()));
        write(Nature { is_tls, is_plain_error }, present, |name, value| out.push((name, value)));
        out
    }

    #[test]
    fn hsts_is_said_over_tls_alone() {
        let has_hsts = |is_tls| lines(is_tls, false, &[]).iter().any(|(name, _)| *name == NAMES[3]);
        assert!(has_hsts(true) && !has_hsts(false));
    }

    #[test]
    fn an_error_may_load_nothing_and_no_answer_may_be_framed() {
        let csp = |is_error| {
            let lines = lines(false, is_error, &[]);
            lines.into_iter().find(|(name, _)| *name == NAMES[2]).unwrap().1
        };
        assert_eq!(csp(false), "frame-ancestors 'none'");
        assert_eq!(csp(true), "default-src 'none'; frame-ancestors 'none'");
    }

    #[test]
    fn the_shortest_name_is_known() {
        assert_eq!(NAMES.map(str::len).into_iter().min(), Some(SHORTEST));
    }

    #[test]
    fn what_is_there_stays() {
        for name in NAMES {
            for there in [name, &name.to_ascii_lowercase()] {
                let lines = lines(true, true, &["Server", there]);
                assert_eq!(lines.len(), 3);
                assert!(lines.iter().all(|(other, _)| *other != name));
            }
        }
        assert_eq!(lines(true, true, &NAMES), []);
    }
}
