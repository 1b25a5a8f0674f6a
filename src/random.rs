//! Random keys.

/// Sixteen bytes from the kernel, which nobody outside can guess, and which are not the same in two
/// processes that have a common parent.
///
/// # Errors
///
/// When the kernel has none to give.
pub(crate) fn key() -> Result<[u8; 16], getrandom::Error> {
    let mut key = [0; 16];
    getrandom::fill(&mut key)?;
    Ok(key)
}
