use std::io::Read;

use proptest::prelude::*;

use super::*;

/// Bytes that come a few at a time.
struct Slow<'b>(&'b [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(buffer.len()).min(self.0.len());
        let (now, later) = self.0.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

fn read(bytes: &[u8]) -> Result<Value, Failure> {
    let whole = Reader::default().value(&mut Slow(bytes, usize::MAX), &mut { Bounds::SHORT });
    let slow = Reader::default().value(&mut Slow(bytes, 1), &mut { Bounds::SHORT });
    assert_eq!(whole, slow, "how bytes come changes nothing");
    whole
}

fn bytes(text: &str) -> Value {
    Value::Bytes(text.as_bytes().to_vec())
}

#[test]
fn answers_of_both_versions_are_read() {
    assert_eq!(read(b"+OK\r\n"), Ok(bytes("OK")));
    assert_eq!(read(b":-7\r\n"), Ok(Value::Int(-7)));
    assert_eq!(read(b"$3\r\na\r\n\r\n"), Ok(bytes("a\r\n")));
    assert_eq!(read(b"$-1\r\n"), Ok(Value::Nil));
    assert_eq!(read(b"*-1\r\n"), Ok(Value::Nil));
    assert_eq!(read(b"_\r\n"), Ok(Value::Nil));
    assert_eq!(read(b"#t\r\n"), Ok(Value::Int(1)));
    assert_eq!(read(b",1.5\r\n"), Ok(bytes("1.5")));
    assert_eq!(read(b"=7\r\ntxt:abc\r\n"), Ok(bytes("abc")));
    assert_eq!(
        read(b"*2\r\n:1\r\n*0\r\n"),
        Ok(Value::List(vec![Value::Int(1), Value::List(vec![])]))
    );
    assert_eq!(read(b"%1\r\n+a\r\n:1\r\n"), Ok(Value::List(vec![bytes("a"), Value::Int(1)])));
    assert_eq!(read(b">2\r\n+x\r\n+y\r\n:1\r\n"), Ok(Value::Int(1)), "a push is no answer");
    assert_eq!(read(b"|1\r\n+x\r\n+y\r\n:1\r\n"), Ok(Value::Int(1)), "nor is an attribute");
    for bytes in [b"-NOAUTH who are you\r\n".as_slice(), b"!18\r\nNOAUTH who are you\r\n"] {
        let Ok(Value::Error(error)) = read(bytes) else { panic!("no error") };
        assert_eq!((error.code.as_str(), error.text.as_str()), ("NOAUTH", "who are you"));
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    for bytes in [
        b"\r\n".as_slice(),
        b"OK\r\n",
        b"+OK\n",
        b":x\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"*-2\r\n",
        b"%-1\r\n",
        b"|-1\r\n:1\r\n",
        b"$1\r\nab\r\n",
        b"#x\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$9223372036854775807\r\n",
        b"$18446744073709551615\r\n",
        b"*9223372036854775807\r\n",
        b"%9223372036854775807\r\n",
        b"*2000\r\n",
    ] {
        assert!(
            matches!(read(bytes), Err(Failure::Garbled(_))),
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
    assert_eq!(read(b"$3\r\nab"), Err(Failure::Unreachable(std::io::ErrorKind::UnexpectedEof)));
    assert_eq!(
        read(&b"*1\r\n".repeat(100)),
        Err(Failure::Garbled("more than it could have been asked for"))
    );
    assert!(matches!(read(&b"a".repeat(100_000)), Err(Failure::Garbled(_))), "an endless line");
    assert!(
        matches!(read(&b">1\r\n+x\r\n".repeat(5000)), Err(Failure::Garbled(_))),
        "endless pushes"
    );
}

#[test]
fn an_answer_has_no_more_than_its_bounds() {
    let answer = b"*3\r\n$2\r\nab\r\n$2\r\ncd\r\n:1\r\n";
    let whole = answer.len();
    let with = |bytes, values| {
        Reader::default().value(&mut answer.as_slice(), &mut Bounds { bytes, values })
    };
    assert!(with(whole, 4).is_ok());
    assert!(with(whole - 1, 4).is_err());
    assert!(with(whole, 3).is_err());
}

#[test]
fn answers_follow_each_other() {
    let mut stream = b"+a\r\n+b\r\n".as_slice();
    let mut reader = Reader::default();
    assert_eq!(reader.value(&mut stream, &mut { Bounds::SHORT }), Ok(bytes("a")));
    assert!(reader.has_rest());
    assert_eq!(reader.value(&mut stream, &mut { Bounds::SHORT }), Ok(bytes("b")));
    assert!(!reader.has_rest());
}

#[test]
fn errors_are_printable_and_short() {
    let line = [b"-ERR \x1b[31m\x00".as_slice(), &b"x".repeat(500), b"\r\n"].concat();
    let Ok(Value::Error(error)) = read(&line) else { panic!("no error") };
    assert!(error.text.starts_with("?[31m?xxx") && error.text.len() == 160, "{}", error.text);
    let Ok(Value::Error(error)) = read(b"-lower case\r\n") else { panic!("no error") };
    assert_eq!((error.code.as_str(), error.text.as_str()), ("ERR", "case"));
}

#[test]
fn commands_are_lists_of_bytes() {
    let mut commands = Command::of(&[b"GET", b"a\r\n"]);
    commands.add(1, [b"PING".as_slice()].into_iter());
    assert_eq!(commands.bytes(), b"*2\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n*1\r\n$4\r\nPING\r\n");
}

proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }

    #[test]
    fn nor_do_those_that_look_like_an_answer(parts in proptest::collection::vec("[-+:$*%~>|!=_#,(][-0-9]{0,3}\r\n", 0..40)) {
        let _ = read(parts.concat().as_bytes());
    }
}
