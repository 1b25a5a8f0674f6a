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

const CSP: &str = "Content-Security-Policy";

/// The names of all of them, and what they say; of the last of a name, that of plain errors.
const LINES: [(&str, &str); 3] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    (CSP, "frame-ancestors 'none'"),
];
const CSP_OF_ERRORS: &str = "default-src 'none'; frame-ancestors 'none'";
/// A year, for this host alone.
const HSTS: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

/// The names of all of them.
pub const NAMES: [&str; 4] = [LINES[0].0, LINES[1].0, LINES[2].0, HSTS.0];

/// Which of them an answer has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present([bool; NAMES.len()]);

impl Present {
    /// Of an answer whose header lines have these names, in any case.
    #[must_use]
    pub fn of<'n>(names: impl Iterator<Item = &'n [u8]>) -> Self {
        let mut present = [false; NAMES.len()];
        for name in names {
            for (is_there, known) in present.iter_mut().zip(NAMES) {
                *is_there |= known.as_bytes().eq_ignore_ascii_case(name);
            }
        }
        Self(present)
    }
}

/// Gives `emit` the name and value of each header line that the answer lacks.
pub fn write(nature: Nature, present: Present, mut emit: impl FnMut(&'static str, &'static str)) {
    let hsts = nature.is_tls.then_some(HSTS);
    for ((name, value), is_there) in LINES.into_iter().chain(hsts).zip(present.0) {
        let value = if name == CSP && nature.is_plain_error { CSP_OF_ERRORS } else { value };
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
        let present = Present::of(there.iter().map(|name| name.as_bytes()));
        write(Nature { is_tls, is_plain_error }, present, |name, value| out.push((name, value)));
        out
    }

    #[test]
    fn hsts_is_said_over_tls_alone() {
        let has_hsts = |is_tls| lines(is_tls, false, &[]).iter().any(|(name, _)| *name == HSTS.0);
        assert!(has_hsts(true) && !has_hsts(false));
    }

    #[test]
    fn an_error_may_load_nothing_and_no_answer_may_be_framed() {
        let csp = |is_error| {
            let lines = lines(false, is_error, &[]);
            lines.into_iter().find(|(name, _)| *name == CSP).unwrap().1
        };
        assert_eq!(csp(false), "frame-ancestors 'none'");
        assert_eq!(csp(true), "default-src 'none'; frame-ancestors 'none'");
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
