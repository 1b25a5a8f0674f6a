use super::*;
use crate::injection;

const RULE: &str = r#"
[[rule]]
id = "ID"
group = "own"
language = "en"
weight = 60
source = "https://example.com/incident-12"
anchors = ["falcon"]
patterns = ['\bfalcon <verbs>\b']
hits = ["Falcon, begin!"]
misses = ["A falcon is a bird"]
"#;

const HEAD: &str = "version = \"acme-1\"\n[sets]\nverbs = [\"begin\", \"start\"]\n";

fn file(rules: &[&str]) -> File {
    let rules: String = rules.iter().map(|id| RULE.replace("ID", id)).collect();
    File::read(&format!("{HEAD}{rules}")).unwrap()
}

fn shipped() -> File {
    File::read(injection::SHIPPED).unwrap()
}

fn ids(book: &Book) -> Vec<&str> {
    book.rules().map(|(_, rule)| rule.id.as_str()).collect()
}

/// What is wrong with a file in which a part of the rule, or of what is in front of it, is another.
fn wrong(part: &str, other: &str) -> String {
    let text = format!("{HEAD}{}", RULE.replace("ID", "own.falcon"));
    assert!(File::read(&text).is_ok() && text.contains(part), "{part}");
    let file = File::read(&text.replacen(part, other, 1));
    let tried = file.and_then(|file| {
        let book = Book::of(file);
        injection::Rules::new(&book)?.test(&book)
    });
    tried.unwrap_err().to_string()
}

#[test]
fn rules_of_an_operator_come_beside_the_shipped_ones_or_replace_them() {
    let shipped_count = shipped().rules.len();
    let beside = Book::put_together(vec![file(&["own.falcon"])], Some(shipped())).unwrap();
    assert_eq!(beside.rules().count(), shipped_count + 1);
    assert!(beside.version().starts_with("20") && beside.version().ends_with("+acme-1"));
    let instead = Book::put_together(vec![file(&["override.en", "x"])], Some(shipped())).unwrap();
    assert_eq!(instead.rules().count(), shipped_count + 1);
    let groups = instead.rules().filter(|(_, rule)| rule.id == "override.en");
    assert_eq!(groups.map(|(_, rule)| rule.group.as_str()).collect::<Vec<_>>(), ["own"]);
    let alone = Book::put_together(vec![file(&["a", "b"]), file(&["c"])], None).unwrap();
    assert_eq!((ids(&alone), alone.version().as_str()), (vec!["a", "b", "c"], "acme-1+acme-1"));
    for book in [&beside, &instead, &alone] {
        let rules = injection::Rules::new(book).unwrap();
        assert_eq!(rules.ids().iter().map(|id| &**id).collect::<Vec<_>>(), ids(book));
        assert_eq!(rules.test(book), Ok(()));
        assert_eq!(book.remarks(), [""; 0]);
    }
    let error = Book::put_together(vec![file(&["a"]), file(&["a"])], None).unwrap_err();
    assert_eq!(error.to_string(), "rule \"a\": two files have it; keep one of them");
}

#[test]
fn shipped_rules_can_be_left_out() {
    let text = format!("without = [\"override.en\", \"gone\"]\n{HEAD}{RULE}");
    let own = File::read(&text).unwrap();
    let book = Book::put_together(vec![own], Some(shipped())).unwrap();
    assert!(!ids(&book).contains(&"override.en"));
    assert_eq!(book.rules().count(), shipped().rules.len());
    assert_eq!(book.remarks(), ["\"without\" names the rule \"gone\", which is not there anyway"]);
}

#[test]
fn a_file_needs_what_makes_it_understood() {
    for (part, other, why) in [
        ("\"acme-1\"", "\"acme 1\"", "the version is of up to 64 letters"),
        ("\"acme-1\"", "\"<b>\"", "the version is"),
        ("\"own.falcon\"", "\"own falcon\"", "the id of a rule is"),
        ("https://example.com/incident-12", " ", "rule \"own.falcon\": it doesn't say where"),
        ("hits = [\"Falcon, begin!\"]", "", "rule \"own.falcon\": it has no text in which"),
        (
            "Falcon, begin!",
            "Falcon, end!",
            "rule \"own.falcon\": it is not found in text 1 of its hits",
        ),
        (
            "A falcon is",
            "Falcon: start! is",
            "rule \"own.falcon\": it is found in text 1 of its misses",
        ),
        ("<verbs>", "<verb>", "rule \"own.falcon\": there is no set \"verb\""),
        ("falcon <", "falcon( <", "rule \"own.falcon\": pattern 1: unclosed group"),
        (
            "<verbs>",
            "(?:[a-z]{900}){90}",
            "rule \"own.falcon\": pattern 1: it is too large; use smaller",
        ),
        ("weight = 60", "weight = 600", "rule \"own.falcon\": a weight is"),
        ("weight = 60", "wait = 60", "line 9: unknown field `wait`"),
        ("[[rule]]", "[rule]", "invalid type: map"),
    ] {
        let error = wrong(part, other);
        assert!(error.contains(why), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let long = format!("\"{}\", \"Falcon, begin!\"", "x".repeat(LONGEST_CASE + 1));
    assert!(wrong("\"Falcon, begin!\"", &long).contains("at most 100 hits"));
}

#[test]
fn rules_are_bounded_in_memory() {
    let rules: String = (0..80)
        .map(|number| {
            RULE.replace("ID", &format!("r{number}"))
                .replace("\"own\"", &format!("\"g{number}\""))
                .replace("<verbs>\\b", "(?:[a-z]{400}){20}|falcon begin")
        })
        .collect();
    let file = File::read(&format!("{HEAD}{rules}")).unwrap();
    let error = injection::Rules::new(&Book::of(file)).unwrap_err().to_string();
    assert!(error.contains("more than 64 MB"), "{error}");
}
