use super::*;

#[test]
fn what_stands_for_a_key_is_none() {
    for text in [
        "${SOME_KEY}",
        "prefix-${KEY}",
        "$SOME_KEY",
        "$some_key",
        "sk-$API_KEY",
        "$(cat key)",
        "{{ env \"X\" }}",
        "{{.Values.key}}",
        "{% key %}",
        "<%= key %>",
        "#{key}",
        "{$VALID_TOKEN}",
        "{ANON_KEY}",
        "<your-key>",
        "<API KEY>",
        "sk-<token>",
        "%API_KEY%",
        "%%KEY%%",
        "%(API_KEY)s",
        "%env(KEY)%",
        "@API_KEY@",
        "__API_KEY__",
        "_MY_SECRET_",
        "[your key]",
        "[[key]]",
        "YOUR_TOKEN_HERE",
        "your-strong-api-key",
        "changeme",
        "CHANGE-ME-PLEASE",
        "replace_with_key",
        "my_placeholder_1",
        "REDACTED",
        "sk-...abcd",
        "sk-\u{2026}abcd",
        "********",
        "xxxxxxxxxxxx",
        "sk-XXXXXXXX",
        "00000000",
        "TODO-key",
        "API_KEY",
        "ANON_KEY",
        "insert-key-1",
        "put-key-here",
        "{vault://env/key}",
        "os.environ/MY_KEY",
        "ENC[AES256_GCM,data:x]",
        "vault:secret/key",
        "op://vault/item",
        // Hashes, addresses and texts.
        "$2b$12$abcdefghijklmnopqrstuv",
        "$apr1$abc$defghijk",
        "{SHA}abcdefghijk=",
        "sha256:0123",
        "postgresql://u:p@h/db",
        "-----BEGIN PRIVATE KEY-----",
        "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
        "eyJhIjoxLCJiIjoyfQ==",
    ] {
        assert!(is_no_key(text).is_some(), "{text}");
    }
}

#[test]
fn what_may_be_a_key_is_one() {
    for text in [
        "secret-0123456789",
        "example-key-of-acme",
        "dev-key-12345",
        "my-super-secret-key-123",
        "tg_dGhpcyBpcyBub3QgYSBrZXkgYXQgYWxsLCByZWFsbHk",
        "sk-4f2Kq9LmZx",
        "c2VjcmV0LWtleQ==",
        "pa$word-12",
        "it$_secret-01",
        "a%20b%20c-1234",
        "4174348a-9222-4e81-b33e-5d72d2fd7f1e",
        "a+b/c-0123",
        "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.abcdefgh",
        "ACME0123456789",
        "_0123abcd-",
        "k<0>9-012345",
        "there-is-nothing",
    ] {
        assert_eq!(is_no_key(text), None, "{text}");
    }
}

#[test]
fn names_are_told_from_what_stands_for_them() {
    for text in ["<client>", "{{ name }}", "${CLIENT}", "%NAME%", "your_tier", "[your team]"] {
        assert!(is_no_name(text), "{text}");
    }
    for name in ["acme", "22", "here", "a.b@example.com", "100%", "R&D <x", "_", "Team [1] of 2"] {
        assert!(!is_no_name(name), "{name}");
    }
}

#[test]
fn names_are_told_from_secrets() {
    for name in [
        "acme",
        "service-account-2024-production",
        "59d1ef15-24a5-4373-b957-e8192c15ff6e",
        "507f1f77bcf86cd799439011",
        "auth0|507f1f77bcf86cd799439011",
        "alice@example.com",
        "Team 42",
    ] {
        assert!(!may_be_secret(name), "{name}");
    }
    for secret in [
        "sk-upstream",
        "Bearer abc",
        "4f2Kq9LmZx8Yw7Vu6T",
        "u:0123456789abcdef0@h",
        "AKIAIOSFODNN7EXAMPLE",
        "postgresql://u:p@h/db",
    ] {
        assert!(may_be_secret(secret), "{secret}");
    }
    for (text, tells) in [
        ("batch: jobs", false),
        ("for the team of 2026", false),
        ("the password is hunter2", true),
        ("//u:hunter2@h/db", true),
        ("old one: 4f2Kq9LmZx8Yw7Vu6T", true),
    ] {
        assert_eq!(may_tell_secret(text), tells, "{text}");
    }
}

#[test]
fn switches_are_told_from_clients() {
    for value in [
        "",
        "0",
        "00",
        "0.0",
        "off",
        "Deny",
        "deny-all",
        "no-access",
        "REVOKED",
        "disabled_2024",
        "-1",
        "403",
        "-",
        "anonymous",
        "not allowed",
    ] {
        assert!(says_no(value) && !says_yes(value), "{value}");
    }
    for value in ["1", "On", "TRUE", "valid"] {
        assert!(says_yes(value) && !says_no(value), "{value}");
    }
    for value in ["acme", "2", "1001", "noel", "off-line", "no-reply-bot", "block-explorer"] {
        assert!(!says_yes(value) && !says_no(value), "{value}");
    }
    assert!(denies("$is_blocked") && denies("$revoked_key") && denies("$bad_key"));
    assert!(!denies("$client") && !denies("$badge"));
    assert!(is_of_others("$tier") && is_of_others("$limit_key") && !is_of_others("$client"));
    assert!(permits("$is_valid_api_key") && !permits("$invalid_key") && !permits("$client"));
}
