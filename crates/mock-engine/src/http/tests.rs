//! Reading requests and writing responses.

use super::*;

fn read(mut input: &[u8]) -> Result<Option<Request>, ReadError> {
    let Some(head) = read_head(&mut input)? else {
        return Ok(None);
    };
    read_body(&mut input, head).map(Some)
}

fn body_of(input: &[u8]) -> Vec<u8> {
    read(input).unwrap().unwrap().body
}

fn status_of(input: &[u8]) -> u16 {
    match read(input) {
        Err(ReadError::Refused { status, .. }) => status,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_closed_connection_is_no_error_between_requests_only() {
    assert!(read(b"").unwrap().is_none());
    assert!(matches!(read(b"GET / HT"), Err(ReadError::Gone)));
    assert!(matches!(read(b"GET / HTTP/1.1\r\nA: b\r\n"), Err(ReadError::Gone)));
    let cut = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab";
    assert!(matches!(read(cut), Err(ReadError::Gone)));
}

#[test]
fn requests_may_be_pipelined() {
    let mut input: &[u8] = b"POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\
        GET /b?q HTTP/1.1\r\n\r\n";
    let head = read_head(&mut input).unwrap().unwrap();
    let first = read_body(&mut input, head).unwrap();
    assert_eq!((first.path(), first.body.as_slice()), (b"/a".as_slice(), b"x".as_slice()));
    let head = read_head(&mut input).unwrap().unwrap();
    assert_eq!(read_body(&mut input, head).unwrap().path(), b"/b");
    assert!(read_head(&mut input).unwrap().is_none());
}

#[test]
fn chunked_bodies_lose_their_framing() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
    let request = |chunks: &str| format!("{head}{chunks}").into_bytes();
    assert_eq!(body_of(&request("3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n")).len(), 13);
    assert_eq!(body_of(&request("0\r\nTrailer: t\r\n\r\n")), b"");
    assert_eq!(status_of(&request("-1\r\n")), 400);
    assert_eq!(status_of(&request("2\r\nabc\r\n0\r\n\r\n")), 400);
}

#[test]
fn ambiguous_framing_is_refused() {
    let with = |headers: &str| format!("POST / HTTP/1.1\r\n{headers}\r\n\r\n").into_bytes();
    let chunked = "Transfer-Encoding: chunked";
    assert_eq!(status_of(&with(&format!("{chunked}\r\nContent-Length: 1"))), 400);
    assert_eq!(status_of(&with(&format!("{chunked}\r\n{chunked}"))), 501);
    assert_eq!(status_of(&with("Transfer-Encoding: gzip, chunked")), 501);
    assert_eq!(status_of(&with("Content-Length: 1\r\nContent-Length: 1")), 400);
    assert_eq!(status_of(&with("Content-Length: +1")), 400);
    assert_eq!(status_of(&with("Content-Length : 1")), 400);
}

#[test]
fn what_is_too_large_is_refused() {
    let header = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(300 * 1024));
    assert_eq!(status_of(header.as_bytes()), 431);
    assert_eq!(status_of(b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"), 413);
}

#[test]
fn keepalive_follows_the_version_and_the_header() {
    let keeps_alive = |head: &str| {
        read(format!("GET / {head}\r\n\r\n").as_bytes()).unwrap().unwrap().keeps_alive()
    };
    assert!(keeps_alive("HTTP/1.1"));
    assert!(!keeps_alive("HTTP/1.1\r\nconnection: foo, Close"));
    assert!(!keeps_alive("HTTP/1.0"));
    assert!(keeps_alive("HTTP/1.0\r\nConnection: Keep-Alive"));
}

#[test]
fn head_gets_the_length_but_no_body() {
    let response = Response::json(200, "{}");
    let text = String::from_utf8(response.encode(Version::Http11, true, false)).unwrap();
    assert!(text.contains("\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}
