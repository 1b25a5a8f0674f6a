//! The header of a page.

/// What goes for each form of a page.
pub(super) fn headers() -> Vec<(&'static str, String)> {
    let headers = [
        ("Cache-Control", "no-store"),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
    ];
    headers.map(|(name, value)| (name, value.to_owned())).to_vec()
}
