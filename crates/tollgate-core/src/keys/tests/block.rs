use super::*;
use proptest::prelude::*;

fn block(entries: &[Value]) -> Vec<u8> {
    KeySet::build(file(entries).as_bytes(), &|_| true, NOW).unwrap().block
}

/// Entries with everything that an entry can have.
fn entries(count: usize) -> Vec<Value> {
    let more = |index: usize| match index % 4 {
        0 => json!({"tier": "pro", "models": ["llama-*"], "scopes": ["chat", "embeddings"]}),
        1 => {
            json!({"tier": "free", "tenant": "acme", "metadata": {"a": "b", "c": 1.5}, "cidrs": ["203.0.113.0/24", "2001:db8::/32"]})
        }
        2 => {
            json!({"deny_cidrs": ["203.0.113.7"], "scopes": ["chat"], "name": "n", "created": "2026-01-01T00:00:00Z"})
        }
        _ => json!({}),
    };
    (0..count).map(|index| entry(&format!("k_{index}"), more(index))).collect()
}

#[test]
fn a_set_says_the_same_wherever_its_block_lies() {
    let entries = entries(100);
    let parsed = parse(&file(&entries)).unwrap();
    let mapped = KeySet::from_block(block(&entries)).unwrap();
    assert_eq!(mapped.len(), 100);
    for index in 0..110 {
        let key = format!("secret-k_{index}");
        let judge = |set: &KeySet| {
            let address = Some("203.0.113.7".parse().unwrap());
            set.lookup(key.as_bytes(), NOW, address).map_err(|refusal| refusal.reason)
        };
        assert_eq!(judge(&parsed), judge(&mapped), "{key}");
        assert_eq!(judge(&parsed) == Err(Reason::InvalidCredential), index >= 100, "{key}");
    }
}

#[test]
fn a_key_costs_less_than_200_bytes() {
    let entries: Vec<Value> =
        (0..4096).map(|index| entry(&format!("k_{index:0>10}"), json!({"tier": "pro"}))).collect();
    let block = block(&entries);
    assert!(block.len() / 4096 < 200, "{}", block.len() / 4096);
}

#[test]
fn a_key_without_what_tenants_add_costs_what_it_did() {
    let len = |more: Value| block(&[entry("k_1", more)]).len();
    let bare = len(json!({}));
    // Header, entry, its two names, and the table.
    assert_eq!(bare, 64 + 56 + (2 + 3) + (2 + 4) + 5 + 64);
    let all = json!({"tenant": "a", "name": "b", "created": "2026-01-01T00:00:00Z", "metadata": {"c": 1}});
    assert!(len(all) - bare < 64);
}

#[test]
fn made_up_hashes_that_are_much_alike_are_no_slower() {
    // Were all of them looked for in one place, these would take 200 million steps.
    for shift in [0, 4, 60, 120] {
        let entries: Vec<Value> = (0..20_000_u128)
            .map(|n| {
                let (high, low) = (n << shift, n);
                json!({"id": format!("k_{n}"), "client": "c", "hash": format!("sha256:{high:032x}{low:032x}")})
            })
            .collect();
        let longest = longest_search(&block(&entries));
        assert!(longest < 100, "{shift}: {longest}");
    }
}

/// The most places in a row that are taken.
fn longest_search(block: &[u8]) -> usize {
    let header = Header::read(block).unwrap();
    let start = header.table.at().unwrap();
    let table = &block[start..start + header.places as usize * image::PLACE_LEN];
    let taken = table.chunks_exact(8).map(|place| place != [0; 8]);
    let mut longest = 0;
    taken.fold(0, |run, is_taken| {
        let run = if is_taken { run + 1 } else { 0 };
        longest = longest.max(run);
        run
    });
    longest
}

#[test]
fn what_is_no_block_or_a_cut_one_is_no_set() {
    let whole = block(&entries(3));
    assert!(KeySet::from_block(whole.clone()).is_some());
    assert!(KeySet::from_block(Vec::new()).is_none());
    assert!(KeySet::from_block(file(&entries(3)).into_bytes()).is_none());
    for len in 0..whole.len() {
        assert!(KeySet::from_block(whole[..len].to_vec()).is_none(), "{len}");
    }
}

#[test]
fn a_tier_must_be_declared_where_tiers_are_known() {
    let text = file(&[entry("k_0", json!({})), entry("k_1", json!({"tier": "pro"}))]);
    let build =
        |declared: &str| KeySet::build(text.as_bytes(), &|tier| tier == declared, NOW).unwrap();
    assert_eq!(build("pro").refused, []);
    assert_eq!(
        build("free").refused[0].error.to_string(),
        "key \"k_1\": field \"tier\" names the tier \"pro\", which is not declared: add \
         \"tollgate_tier pro { ... }\" to the http block"
    );
}

#[test]
fn all_faults_are_told_one_for_each_entry() {
    let text = file(&[
        entry("k_0", json!({})),
        entry("k_1", json!({"disabled": 1, "tier": ""})),
        json!({"id": "k_2", "client": "acme"}),
        entry("k_3", json!({})),
        entry("k_4", json!({"expires": "tomorrow"})),
    ]);
    let told: Vec<String> = faults(text.as_bytes()).iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for (told, expected) in told.iter().zip([
        "key \"k_1\": field \"tier\" must be",
        "key \"k_2\": field \"hash\" is missing",
        "key \"k_4\": field \"expires\" must be a date",
    ]) {
        assert!(told.starts_with(expected), "{told}");
    }
    assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), faults(text.as_bytes())[0]);
    assert_eq!(faults(file(&entries(10)).as_bytes()), []);
}

#[test]
fn all_duplicates_are_told_in_the_order_of_the_file() {
    let twice = |id: &str, key: &str| json!({"id": id, "hash": hash(key), "client": "acme"});
    let text = file(&[
        twice("a", "1"),
        twice("b", "2"),
        twice("a", "3"),
        twice("a", "4"),
        twice("c", "2"),
    ]);
    let told: Vec<String> = faults(text.as_bytes()).iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("key \"a\": field \"id\" is that of both keys[0] and keys[2]"));
    assert!(told[1].starts_with("key \"a\": field \"id\" is that of both keys[0] and keys[3]"));
    assert!(told[2].starts_with("key \"c\": field \"hash\" is that of key \"b\", too"));
}

#[test]
fn faults_behind_a_syntax_error_are_not_known_and_no_more_than_a_thousand_are_told() {
    let cut = format!("{{\"version\": 1, \"keys\": [{}, ", json!({"id": "k_1"}));
    let told: Vec<String> = faults(cut.as_bytes()).iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("the keys file is not one json object"), "{told:?}");
    let many: Vec<Value> = (0..2000).map(|index| json!({"id": format!("k_{index}")})).collect();
    assert_eq!(faults(file(&many).as_bytes()).len(), 1000);
}

proptest! {
    #[test]
    fn a_damaged_block_never_panics(
        at in 0_usize..2000, byte: u8, cut in 0_usize..2000, key in 0_usize..12,
    ) {
        let mut bytes = block(&entries(10));
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(len - cut % 2 * (cut % len));
        if let Some(set) = KeySet::from_block(bytes) {
            // Whatever it says, it says it.
            let _ = set.lookup(format!("secret-k_{key}").as_bytes(), NOW, None);
            let _ = (set.tiers().take(1000).count(), set.without_tier());
        }
    }
}
