use super::*;

fn boundary(text: &str) -> Boundary {
    let value = format!("multipart/form-data; boundary=\"{text}\"");
    match ContentType::of([value.as_bytes()]) {
        Ok(ContentType::Form(boundary)) => boundary,
        other => panic!("{other:?}"),
    }
}

fn read_in(body: &[u8], len: usize) -> Result<Vec<Part>, Fault> {
    let mut reader = FormReader::new(&boundary("b"));
    body.chunks(len).for_each(|slice| reader.read(slice));
    reader.finish()
}

/// Read in slices of all lengths, which must make no difference.
fn read(body: &[u8]) -> Result<Vec<Part>, Fault> {
    let whole = read_in(body, body.len().max(1));
    for len in 1..=body.len().min(70) {
        assert_eq!(read_in(body, len), whole, "in slices of {len}: {}", body.escape_ascii());
    }
    whole
}

fn part(header: &str, contents: &str) -> String {
    format!("--b\r\n{header}\r\n\r\n{contents}\r\n")
}

fn field(name: &str, contents: &str) -> String {
    part(&format!("Content-Disposition: form-data; name=\"{name}\""), contents)
}

fn form(parts: &str) -> Vec<u8> {
    format!("{parts}--b--\r\n").into_bytes()
}

#[test]
fn parts_are_read_as_they_were_sent() {
    let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a b.wav\"\r\nContent-Type: audio/wav";
    let body = form(
        &(field("model", "whisper") + &part(file, "RIFF\r\n--a\r\n\0\u{80}") + &field("n", "")),
    );
    let parts = read(&body).unwrap();
    let told: Vec<_> =
        parts.iter().map(|part| (&*part.name, part.is_file, &*part.text, part.len)).collect();
    assert_eq!(
        told,
        [("model", false, &b"whisper"[..], 7), ("file", true, b"", 14), ("n", false, b"", 0)]
    );
    for part in parts.iter().filter(|part| !part.is_file) {
        assert_eq!(body.get(part.at..part.at + part.len), Some(&*part.text));
    }
}

#[test]
fn a_form_without_parts_and_one_without_a_last_line_end_are_forms() {
    assert_eq!(read(b"--b--").map(|parts| parts.len()), Ok(0));
    assert_eq!(read(b"--b--\r\n").map(|parts| parts.len()), Ok(0));
    let body = field("x", "y") + "--b--";
    assert_eq!(read(body.as_bytes()).map(|parts| parts.len()), Ok(1));
}

#[test]
fn what_is_before_between_and_behind_parts_is_refused() {
    let one = field("model", "a");
    for (body, fault) in [
        (String::new(), Fault::Unfinished),
        ("--b".into(), Fault::Unfinished),
        ("-".into(), Fault::Unfinished),
        ("--b-".into(), Fault::Unfinished),
        (one.clone(), Fault::Unfinished),
        (format!("{one}--b"), Fault::Unfinished),
        (format!("{one}--b\r\n"), Fault::Unfinished),
        (format!("\r\n{one}--b--"), Fault::Preamble),
        (format!("{{\"model\":\"x\"}}\r\n{one}--b--"), Fault::Preamble),
        (format!("--c\r\n{one}--b--"), Fault::Preamble),
        (format!("{one}--b--\r\n\r\n"), Fault::Rest),
        (format!("{one}--b--\r\n{one}--b--"), Fault::Rest),
        (format!("{one}--b--x"), Fault::Rest),
        (format!("{one}--b--\n"), Fault::Rest),
        (format!("--b \r\n{one}--b--"), Fault::Delimiter),
        (one.replace("--b\r\n", "--b\n") + "--b--", Fault::Delimiter),
        (format!("{one}--bc\r\n{one}--b--"), Fault::Delimiter),
        (format!("{one}--b\t\r\n{one}--b--"), Fault::Delimiter),
    ] {
        assert_eq!(read(body.as_bytes()), Err(fault), "{}", body.escape_debug());
    }
}

#[test]
fn a_delimiter_that_only_some_servers_see_is_refused() {
    for contents in ["x\n--b\r\ny", "x--b", "x\r--b--", "\r\n--b", "--b--", "x\r\n --b\r\n"] {
        let body = form(&field("x", contents));
        assert!(read(&body).is_err(), "{}", contents.escape_debug());
    }
    // Nor is one without the line end that is its own.
    let empty = b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n--b--";
    assert_eq!(read(empty), Err(Fault::Delimiter));
    let in_header = part("Content-Disposition: form-data; name=\"x\"\r\nX: --b", "");
    assert_eq!(read(&form(&in_header)), Err(Fault::Delimiter));
    // What looks like one is none.
    for contents in ["-b", "--", "\r\n-", "\r\n--\r\n--B\r\n-", "--a\r\n--c"] {
        let parts = read(&form(&field("x", contents))).unwrap();
        assert_eq!(parts.first().map(|part| &*part.text), Some(contents.as_bytes()));
    }
}

#[test]
fn headers_that_two_servers_could_read_in_two_ways_are_refused() {
    use Fault::{Disposition, Header, Length, Name, Type};
    const GOOD: &str = "Content-Disposition: form-data; name=\"model\"";
    for (header, fault) in [
        ("Content-Type: text/plain", Disposition),
        ("Content-Disposition: attachment; name=\"model\"", Disposition),
        ("Content-Disposition: form-data", Disposition),
        ("Content-Disposition: form-data; name=\"a\"; name=\"model\"", Disposition),
        ("Content-Disposition: form-data; name=\"a\"; NAME=model", Disposition),
        ("Content-Disposition: form-data; name=\"a\"; name*=utf-8''model", Disposition),
        ("Content-Disposition: form-data; name*=utf-8''model", Disposition),
        ("Content-Disposition: form-data; name*0=mo; name*1=del", Disposition),
        ("Content-Disposition: form-data; name = \"model\"", Disposition),
        ("Content-Disposition: form-data; name=\"model\" x", Disposition),
        ("Content-Disposition: form-data; name=\"model", Disposition),
        ("Content-Disposition: form-data; name=\"model\";", Disposition),
        ("Content-Disposition: form-data, name=\"model\"", Disposition),
        ("Content-Disposition: form-data; name=\"a\"; filename=\"x\\\"; name=\"model\"", Disposition),
        ("Content-Disposition: form-data; filename=\"x; name=model\"; name=\"a\"", Disposition),
        ("Content-Disposition: form-data; name=\"a\"; filename=\"\"", Disposition),
        ("Content-Disposition: form-data; name=\"a\"; filename*=utf-8''x", Disposition),
        ("Content-Disposition: form-data; name=\"a\"; filename=x; filename=y", Disposition),
        ("Content-Disposition: form-data; name=\"mo\\del\"", Name),
        ("Content-Disposition: form-data; name=\"mod%65l\"", Name),
        ("Content-Disposition: form-data; name=\"model \"", Name),
        ("Content-Disposition: form-data; name=\"\"", Name),
        ("Content-Disposition: form-data; name=\"mod\u{212a}\"", Name),
        ("Content-Disposition: form-data; name=\"_charset_\"", Name),
        ("Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"", Header),
        ("Content-Disposition: form-data;\r\n name=\"model\"", Header),
        ("Content-Disposition : form-data; name=\"model\"", Header),
        ("Content-Disposition: form-data; name=\"a\"\nX: y", Header),
        ("Content-Disposition: form-data; name=\"a\"\rX: y", Header),
        ("Content-Disposition: form-data; name=\"a\"\0", Header),
        ("X\r\nContent-Disposition: form-data; name=\"model\"", Header),
        (&format!("{GOOD}\r\nContent-Type: text/plain\r\ncontent-type: text/plain"), Header),
        (&format!("{GOOD}\r\nContent-Type: text/plain; charset=utf-16"), Type),
        (&format!("{GOOD}\r\nContent-Type: application/json"), Type),
        (&format!("{GOOD}; filename=\"x\"\r\nContent-Type: Multipart/mixed; boundary=c"), Type),
        (&format!("{GOOD}\r\nContent-Transfer-Encoding: base64"), Type),
        (&format!("{GOOD}\r\nContent-Transfer-Encoding: Quoted-Printable"), Type),
        (&format!("{GOOD}\r\nContent-Encoding: gzip"), Type),
        (&format!("{GOOD}\r\nContent-Length: 4"), Length),
        (&format!("{GOOD}\r\nContent-Length: +5"), Length),
        (&format!("{GOOD}\r\nContent-Length: 99999999999999999999"), Length),
    ] {
        let body = form(&part(header, "abcde"));
        assert_eq!(read(&body), Err(fault), "{}", header.escape_debug());
    }
}

#[test]
fn headers_as_clients_send_them_are_read() {
    for (header, is_file) in [
        ("Content-Disposition: form-data; name=\"model\"", false),
        ("content-disposition:form-data;name=model", false),
        ("Content-Disposition: form-data; name=\"model\"\r\nContent-Type: text/plain; charset=UTF-8", false),
        ("Content-Disposition: form-data; name=\"model\"\r\nContent-Length: 5", false),
        ("Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: 8bit", false),
        ("Content-Disposition: form-data; filename=\"a;b.wav\"; name=\"model\"", true),
        ("Content-Disposition: form-data; name=\"model\"; filename=\"C:\\x\u{e9}.wav\"; filename*=UTF-8''x", true),
        ("X-Whatever: y\r\nContent-Disposition: form-data; name=\"model\"; filename=blob\r\nContent-Type: ", true),
    ] {
        let parts = read(&form(&part(header, "abcde"))).expect(header);
        let told: Vec<_> = parts.iter().map(|part| (&*part.name, part.is_file)).collect();
        assert_eq!(told, [("model", is_file)], "{header}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let many = |count: usize| form(&field("x", "y").repeat(count));
    assert_eq!(read_in(&many(MAX_PARTS), 1000).map(|parts| parts.len()), Ok(MAX_PARTS));
    assert_eq!(read_in(&many(MAX_PARTS + 1), 1000), Err(Fault::TooManyParts));
    assert_eq!(read_in(&many(10_000), 1000), Err(Fault::TooManyParts));
    let long = |len: usize| {
        let header = "Content-Disposition: form-data; name=\"x\"\r\nX: ";
        form(&part(&(header.to_owned() + &"y".repeat(len - header.len())), ""))
    };
    assert_eq!(read_in(&long(MAX_HEADER), 1000).map(|parts| parts.len()), Ok(1));
    assert_eq!(read_in(&long(MAX_HEADER + 1), 1000), Err(Fault::LongHeader));
    assert_eq!(read_in(&long(1 << 20), 1000), Err(Fault::LongHeader));
    let parts = read_in(&form(&field("x", &"y".repeat(1 << 20))), 4096).unwrap();
    let kept: Vec<_> =
        parts.iter().map(|part| (part.text.len(), part.len, part.is_whole())).collect();
    assert_eq!(kept, [(MAX_KEPT, 1 << 20, false)]);
    let mut reader = FormReader::new(&boundary("b"));
    reader.read(b"--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n");
    for _ in 0..100 {
        reader.read(&[b'-'; 4096]);
        assert!(reader.pending.len() < 8, "{}", reader.pending.len());
    }
}

#[test]
fn content_type_says_what_a_body_is() {
    let of = |values: &[&str]| ContentType::of(values.iter().map(|value| value.as_bytes()));
    for (value, delimiter) in [
        ("multipart/form-data; boundary=b", "--b"),
        ("Multipart/Form-Data;BOUNDARY=\"a:b=c\"", "--a:b=c"),
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4; charset=UTF-8",
            "------WebKitFormBoundary7MA4",
        ),
    ] {
        let Ok(ContentType::Form(boundary)) = of(&[value]) else { panic!("{value}") };
        assert_eq!(boundary.delimiter(), delimiter.as_bytes());
    }
    let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
    for value in [
        "multipart/form-data",
        "multipart/form-data;",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/form-data; boundary=a; Boundary=b",
        "multipart/form-data; boundary*=utf-8''a",
        "multipart/form-data; boundary=\"a b\"",
        "multipart/form-data; boundary=\"a\\b\"",
        "multipart/form-data; boundary=a:b",
        "multipart/form-data; boundary=a, multipart/form-data",
        "multipart/form-data; boundary=a; charset=utf-7",
        "multipart/form-data; boundary=\u{e9}",
        "multipart/mixed; boundary=a",
        "application/json; x=multipart/form-data; boundary=a",
        "text/plain, multipart/form-data; boundary=a",
        &long,
    ] {
        assert_eq!(of(&[value]), Err(Fault::ContentType), "{value}");
    }
    let form = "multipart/form-data; boundary=b";
    assert_eq!(of(&[form, form]), Err(Fault::ContentType));
    assert_eq!(of(&["application/json", form]), Err(Fault::ContentType));
    assert_eq!(of(&["a/b", "c/d", form]), Err(Fault::ContentType));
    for value in ["application/json", "APPLICATION/json; charset=UTF-8"] {
        assert_eq!(of(&[value]), Ok(ContentType::Json), "{value}");
    }
    for values in [
        &[][..],
        &[""],
        &["application/json; charset=utf-16"],
        &["application/json; charset"],
        &["application/x-www-form-urlencoded"],
        &["application/json", "application/json"],
    ] {
        assert_eq!(of(values), Ok(ContentType::Other), "{values:?}");
    }
}

#[test]
fn faults_are_told_in_sentences_of_their_own() {
    for (index, fault) in Fault::ALL.iter().enumerate() {
        let text = fault.to_string();
        assert!(!text.ends_with('.') && !text.is_empty());
        assert!(Fault::ALL.iter().skip(index + 1).all(|other| other.to_string() != text));
    }
}
