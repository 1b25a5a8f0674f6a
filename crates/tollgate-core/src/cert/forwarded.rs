//! `X-Forwarded-Client-Cert`, by which Envoy and the proxies of service meshes say which certificate the
//! client has. Only who trusts the sender may read it.
//!
//! A header is a list of elements, `By=...;Hash=...;Subject="...";URI=...`, one for each proxy on the way. A
//! proxy adds its own behind those that it got, which may be anybody's. Where they name different
//! certificates, it isn't told here which of them counts: that is refused.

use super::certificate::ClientCertificate;
use crate::detail::Cause;

/// The header that a proxy says it in, in lower case.
pub const HEADER: &[u8] = b"x-forwarded-client-cert";

/// What an element says of the client's certificate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Element {
    hash: Option<[u8; 32]>,
    /// In PEM.
    cert: Option<Vec<u8>>,
    uris: Vec<Box<str>>,
    dns: Vec<Box<str>>,
    has_subject: bool,
    has_chain: bool,
}

/// The certificate that a header tells of.
///
/// # Errors
///
/// [`Cause::XfccMalformed`] where the header isn't in Envoy's format to the letter, [`Cause::XfccSeveral`]
/// where it tells of different certificates, [`Cause::CertUnreadable`].
pub fn read(header: &[u8]) -> Result<ClientCertificate, Cause> {
    let text = std::str::from_utf8(header).map_err(|_| Cause::XfccMalformed)?;
    let mut elements = split(text, ',').ok_or(Cause::XfccMalformed)?.into_iter().map(element);
    let first = elements.next().flatten().ok_or(Cause::XfccMalformed)?;
    for other in elements {
        if other.ok_or(Cause::XfccMalformed)? != first {
            return Err(Cause::XfccSeveral);
        }
    }
    let Element { hash, cert, uris, dns, .. } = first;
    let Some(cert) = cert else {
        return Ok(ClientCertificate {
            thumbprint: hash,
            uris,
            dns,
            ..ClientCertificate::default()
        });
    };
    let cert = ClientCertificate::from_pem(&cert)?;
    // What is said twice must be the same. (Envoy tells of the first URI alone, or of all.)
    let agrees = hash.is_none_or(|hash| cert.thumbprint == Some(hash))
        && uris.iter().all(|uri| cert.uris.contains(uri))
        && dns.iter().all(|name| cert.dns.contains(name));
    agrees.then_some(cert).ok_or(Cause::XfccMalformed)
}

/// The parts between separators outside of quotes. `None`: a quote doesn't end.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!quoted).then_some(parts)
}

fn element(text: &str) -> Option<Element> {
    let mut element = Element::default();
    // Blanks around the elements of a list are nothing (RFC 9110 section 5.6.1).
    for pair in split(text.trim_matches([' ', '\t']), ';')? {
        let (key, value) = pair.split_once('=')?;
        let value = unquoted(value)?;
        match key.to_ascii_lowercase().as_str() {
            "by" => {}
            "hash" if element.hash.is_none() => element.hash = Some(digest(&value)?),
            "cert" if element.cert.is_none() => element.cert = Some(url_decoded(&value)?),
            "subject" if !element.has_subject => element.has_subject = true,
            "chain" if !element.has_chain => element.has_chain = true,
            // Envoy says so where there is none.
            "uri" if value.is_empty() => {}
            "uri" => element.uris.push(value.into()),
            "dns" => element.dns.push(value.into()),
            // Twice, or nobody knows what.
            _ => return None,
        }
    }
    Some(element)
}

/// A value without its quotes, if it has some. `None`: there is a quote or an `=` where none may be, or a
/// control character.
fn unquoted(value: &str) -> Option<String> {
    if value.contains(|c: char| c.is_control()) {
        return None;
    }
    let Some(quoted) = value.strip_prefix('"') else {
        // Envoy doesn't quote URIs, which may have an `=`.
        return (!value.contains(['"', '\\', ' '])).then(|| value.to_owned());
    };
    let quoted = quoted.strip_suffix('"')?;
    let mut text = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next()?),
            '"' => return None,
            c => text.push(c),
        }
    }
    Some(text)
}

/// The bytes of 64 hexadecimal digits.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 {
        return None;
    }
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    for (byte, pair) in digest.iter_mut().zip(pairs) {
        *byte = from_hex(*pair)?;
    }
    Some(digest)
}

fn from_hex([high, low]: [u8; 2]) -> Option<u8> {
    let nibble =
        |digit: u8| char::from(digit).to_digit(16).and_then(|nibble| u8::try_from(nibble).ok());
    Some(nibble(high)? << 4 | nibble(low)?)
}

fn url_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => from_hex([rest.next()?, rest.next()?])?,
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use crate::hex;
    use proptest::prelude::*;

    const HASH: &str = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688";

    fn texts(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    fn encoded(pem: &str) -> String {
        pem.bytes()
            .map(|b| match b {
                b if b.is_ascii_alphanumeric() || b"-.".contains(&b) => char::from(b).to_string(),
                b => format!("%{b:02X}"),
            })
            .collect()
    }

    #[test]
    fn the_examples_of_envoy_are_read() {
        let subject = r#"Subject="/C=US/ST=CA/L=San Francisco/OU=Lyft/CN=Test Client""#;
        let one = format!(
            "By=http://frontend.lyft.com;Hash={HASH};{subject};URI=http://testclient.lyft.com;DNS=lyft.com;DNS=www.lyft.com"
        );
        let found = read(one.as_bytes()).unwrap();
        assert_eq!(hex::encode(found.thumbprint.unwrap()), HASH);
        assert_eq!(found.uris, texts(&["http://testclient.lyft.com"]));
        assert_eq!(found.dns, texts(&["lyft.com", "www.lyft.com"]));
        let two = format!(
            "By=http://frontend.lyft.com;Hash={HASH};URI=http://testclient.lyft.com,By=http://backend.lyft.com;\
             Hash=9ba61d6425303443c0748a02dd8de688468ed33be74eee6556d90c0149c1309e;URI=http://frontend.lyft.com"
        );
        assert_eq!(read(two.as_bytes()), Err(Cause::XfccSeveral));
    }

    #[test]
    fn elements_that_say_the_same_are_one() {
        let one = format!("By=a;Hash={HASH};URI=spiffe://a/b");
        let same = format!("{one}, BY=c;uri=\"spiffe://a/b\";hash={}", HASH.to_uppercase());
        assert_eq!(read(same.as_bytes()), read(one.as_bytes()));
        for other in ["URI=spiffe://a/b", "By=x", &format!("Hash={HASH};URI=spiffe://a/c")] {
            for both in [format!("{one},{other}"), format!("{other},{one}")] {
                assert_eq!(read(both.as_bytes()), Err(Cause::XfccSeveral), "{both}");
            }
        }
    }

    #[test]
    fn quotes_hold_separators() {
        let uris = |header: &str| read(header.as_bytes()).map(|found| found.uris);
        for (header, uri) in [
            (r#"Subject="CN=a,O=b;URI=spiffe://evil/x";URI=spiffe://a/b"#, "spiffe://a/b"),
            (r#"Subject="CN=\";URI=spiffe://evil/x;By=\"";URI=spiffe://a/b"#, "spiffe://a/b"),
            (r#"Subject="CN=a\\";URI=spiffe://a/b"#, "spiffe://a/b"),
            (r#"Subject="";URI="https://a/?b=c;d,e""#, "https://a/?b=c;d,e"),
            ("URI=https://a/?b=c", "https://a/?b=c"),
        ] {
            assert_eq!(uris(header), Ok(texts(&[uri])), "{header}");
        }
        assert_eq!(uris("Subject=\"\";URI="), Ok(texts(&[])));
        assert_eq!(
            uris("URI=spiffe://a/b;URI=spiffe://a/c"),
            Ok(texts(&["spiffe://a/b", "spiffe://a/c"]))
        );
    }

    #[test]
    fn what_is_not_in_the_format_is_refused() {
        let long = format!("Hash={HASH}0");
        let twice = format!("Hash={HASH};Hash={HASH}");
        for header in [
            "",
            ",",
            "URI=a,",
            ",URI=a",
            "URI=a;",
            ";URI=a",
            "URI",
            "=a",
            "URI=a;x",
            "Issuer=a",
            "URI=\"a",
            "URI=a\"",
            "URI=a\"b\"",
            "URI=\"a\"b",
            "URI=\"a\\\"",
            "URI=a b",
            "URI =a",
            "URI=a\tb",
            "URI=\"a\u{1}\"",
            "Hash=",
            "Hash=12",
            "Hash=zz",
            &long,
            &twice,
            "Subject=\"\";Subject=\"\"",
            "Chain=\"\";Chain=\"\"",
            "Cert=\"x\";Cert=\"x\"",
            "Cert=\"%\"",
            "Cert=\"%4\"",
            "Cert=\"%zz\"",
        ] {
            assert_eq!(read(header.as_bytes()), Err(Cause::XfccMalformed), "{header:?}");
        }
        assert_eq!(read(b"URI=\xff"), Err(Cause::XfccMalformed));
        assert_eq!(read(b"Cert=\"x\""), Err(Cause::CertUnreadable));
    }

    #[test]
    fn the_certificate_itself_says_more_and_must_agree() {
        let cert = encoded(fixtures::WORKLOAD);
        let read_with = |more: &str| read(format!("Cert=\"{cert}\"{more}").as_bytes());
        let found = read_with("").unwrap();
        assert_eq!(found, ClientCertificate::from_pem(fixtures::WORKLOAD.as_bytes()).unwrap());
        let hash = hex::encode(found.thumbprint.unwrap());
        for more in [
            format!(";Hash={hash}"),
            format!(";URI={}", found.uris[0]),
            ";DNS=b.example.org".to_owned(),
        ] {
            assert_eq!(read_with(&more), Ok(found.clone()), "{more}");
        }
        for more in [format!(";Hash={HASH}"), ";URI=spiffe://a/b".to_owned(), ";DNS=c".to_owned()] {
            assert_eq!(read_with(&more), Err(Cause::XfccMalformed), "{more}");
        }
        let two = encoded(&format!("{}{}", fixtures::WORKLOAD, fixtures::SIGNER));
        assert_eq!(read(format!("Cert=\"{two}\"").as_bytes()), Err(Cause::CertUnreadable));
    }

    proptest! {
        #[test]
        fn no_header_panics(header: Vec<u8>) {
            let _ = read(&header);
        }

        #[test]
        fn no_subject_names_anybody(subject in r#"[a-zA-Z=;,"\\/ :]{0,40}"#) {
            // As RFC 4514 has it, and OpenSSL prints it.
            let escaped = subject.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("Subject=\"{escaped}\";URI=spiffe://a/b");
            prop_assert_eq!(read(header.as_bytes()).map(|found| found.uris), Ok(texts(&["spiffe://a/b"])));
        }
    }
}
