use super::*;

fn pair(byte: u8) -> (SealingKey, VerifyingKey) {
    let random = std::array::from_fn(|at| byte.wrapping_add(u8::try_from(at).unwrap()));
    generate(&Zeroizing::new(random), 1_767_225_600).unwrap()
}

#[test]
fn files_come_back() {
    let (mut sealing, verifying) = pair(1);
    for _ in 0..3 {
        let file = sealing.to_file();
        assert_eq!(file.len(), KEY_FILE_LEN);
        let read = SealingKey::parse(&file).unwrap();
        assert_eq!(read.to_file(), file);
        assert_eq!(read.id(), verifying.id());
        sealing.begin(UnixMillis(1_767_225_700_000)).unwrap();
    }
    let read = VerifyingKey::parse(&verifying.to_file()).unwrap();
    assert_eq!(read.to_file(), verifying.to_file());
    let signature = sealing.signer().unwrap().sign(b"a");
    assert!(read.has_signed(b"a", &signature));
    assert!(!read.has_signed(b"b", &signature));
    assert!(!pair(2).1.has_signed(b"a", &signature));
    assert!(!read.has_signed(b"a", "?"));
}

#[test]
fn each_generation_has_a_key_that_the_file_after_it_does_not_tell() {
    let (mut sealing, verifying) = pair(1);
    let mut root = Secret::new(*verifying.root().bytes());
    for expected in 0..4 {
        let begun = sealing.begin(UnixMillis(1_767_225_700_000)).unwrap();
        assert_eq!(begun.number, expected);
        assert_eq!(begun.key.bytes(), root.generation().bytes());
        root = root.next_root();
        assert_eq!(sealing.root.bytes(), root.bytes());
    }
    sealing.generation = MAX_NUMBER;
    assert_eq!(sealing.begin(UnixMillis(0)).unwrap_err(), KeyError::UsedUp);
}

#[test]
fn one_file_is_not_the_other_and_neither_is_anything_else() {
    let (sealing, verifying) = pair(1);
    let (seal, verify) = (sealing.to_file(), verifying.to_file());
    assert_eq!(SealingKey::parse(&verify).unwrap_err(), KeyError::Verifying);
    assert_eq!(VerifyingKey::parse(&seal).unwrap_err(), KeyError::Sealing);
    let text = String::from_utf8(seal.to_vec()).unwrap();
    // What is longer takes the place of blanks behind it.
    let with = |from: &str, to: &str| {
        let blanks = " ".repeat(to.len() - from.len());
        let changed = text.replace(from, to).replacen(&format!("{blanks}\n"), "\n", 1);
        SealingKey::parse(changed.as_bytes()).unwrap_err()
    };
    assert_eq!(with("seal_key\":1", "seal_key\":2"), KeyError::Version);
    assert_eq!(with("\"generation\":0", "\"generation\":1"), KeyError::Damaged);
    assert_eq!(with("\"generation\":0", "\"generation\":-1"), KeyError::NotAKey);
    assert_eq!(with("\"root\":\"", "\"root\":\"A"), KeyError::Member("root"));
    assert_eq!(with("\"id\":\"", "\"id\":\"A"), KeyError::Member("id"));
    assert_eq!(with("\"sign\":\"", "\"x\":\"\",\"sign\":\""), KeyError::NotAKey);
    for file in [&b""[..], b"{}", b"[]", b"\xff", b"{\"keys\": []}"] {
        assert_eq!(SealingKey::parse(file).unwrap_err(), KeyError::NotAKey);
        assert_eq!(VerifyingKey::parse(file).unwrap_err(), KeyError::NotAKey);
    }
    let text = String::from_utf8(verify.to_vec()).unwrap();
    let with =
        |from: &str, to: &str| VerifyingKey::parse(text.replace(from, to).as_bytes()).unwrap_err();
    assert_eq!(with("verify_key\":1", "verify_key\":2"), KeyError::Version);
    assert_eq!(with("\"public\":\"", "\"public\":\"A"), KeyError::Member("public"));
    assert_eq!(with("\"root\":\"", "\"root\":\"A"), KeyError::Member("root"));
}

#[test]
fn no_secret_is_shown() {
    let (sealing, verifying) = pair(1);
    let root = URL_SAFE_NO_PAD.encode(sealing.root.bytes());
    let shown = format!("{sealing:?} {verifying:?} {:?}", sealing.signer().unwrap());
    assert!(!shown.contains(&root) && !shown.contains("root"), "{shown}");
}

#[test]
fn the_clock_goes_on_with_time_and_never_back() {
    let (mut sealing, verifying) = pair(1);
    let epoch = |sealing: &SealingKey| sealing.clock.ratchet.number();
    let mut at = |seconds: i64| {
        sealing.begin(UnixMillis((1_767_225_600 + seconds) * 1000)).unwrap();
        let read = SealingKey::parse(&sealing.to_file()).unwrap();
        assert_eq!(epoch(&read), epoch(&sealing));
        let expected = Ratchet::at(verifying.clock(), epoch(&sealing));
        assert_eq!(read.clock.ratchet.mac(b"", b""), expected.mac(b"", b""));
        epoch(&sealing)
    };
    assert_eq!([at(-5), at(9), at(10), at(100_005), at(30)], [0, 0, 1, 10_000, 10_000]);
    assert_eq!(verifying.time_of(10_000), 1_767_225_600 + 100_000);
    let mut file = sealing.to_file();
    file[CLOCK_AT + 20] ^= 1;
    assert!(SealingKey::parse(&file).is_err());
}
