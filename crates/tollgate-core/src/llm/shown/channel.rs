//! The channel of one text through the guard.

#[cfg(not(test))]
pub(super) use tollgate_guard::stream::Channel;

#[cfg(test)]
pub(super) use super::tests::channel::Channel;
