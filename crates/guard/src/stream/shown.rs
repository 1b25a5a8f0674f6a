//! What goes on: bytes that came, and labels in the place of others.

/// Where a text is written to.
#[derive(Default)]
pub(super) struct Shown {}

impl Shown {
    /// Shows what came.
    pub(super) fn show(&mut self, came: &str, out: &mut String) {
        out.push_str(came);
    }

    /// Shows this instead of what follows and is left out.
    pub(super) fn replace(&mut self, by: &str, out: &mut String) {
        out.push_str(by);
    }

    /// Leaves out what came.
    pub(super) fn leave_out(&mut self, _came: &str, _out: &mut String) {}
}
