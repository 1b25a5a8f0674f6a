use tollgate_guard::settings::{What, Wish};

use super::*;

fn read(direction: Direction, text: &str) -> Result<Line, String> {
    line(direction, &text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>())
}

fn wish(what: What, action: Action, threshold: Option<u8>) -> Result<Line, String> {
    Ok(Line::Wish(Wish { what, action, threshold }))
}

#[test]
fn lines_say_what_and_what_to_do() {
    use Direction::{Input, Output};
    assert_eq!(read(Input, "injection log"), wish(What::Injection, Action::Log, None));
    assert_eq!(
        read(Input, "pii email phone tokenize threshold=70"),
        wish(What::Pii(vec!["email".into(), "phone".into()]), Action::Tokenize, Some(70))
    );
    assert_eq!(read(Output, "pii mask"), wish(What::Pii(Vec::new()), Action::Mask, None));
    assert_eq!(read(Input, "secrets block"), wish(What::Secrets(Vec::new()), Action::Block, None));
    assert_eq!(
        read(Input, "pattern (?i)falcon name=codename block"),
        wish(
            What::Pattern { name: "codename".into(), pattern: "(?i)falcon".into() },
            Action::Block,
            None
        )
    );
    // What stands first behind it is the pattern, whatever it looks like.
    assert_eq!(
        read(Input, "pattern mask name=a block"),
        wish(What::Pattern { name: "a".into(), pattern: "mask".into() }, Action::Block, None)
    );
    assert_eq!(
        read(Output, "list terms.txt name=terms mask"),
        Ok(Line::List { name: "terms".into(), path: "terms.txt".into(), action: Action::Mask })
    );
    assert_eq!(read(Output, "leak block"), Ok(Line::Leak(Action::Block)));
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    use Direction::{Input, Output};
    for (direction, text, expected) in [
        (Input, "", "what to look for is missing"),
        (
            Input,
            "pii email",
            "says not what to do; add \"block\", \"mask\", \"tokenize\" or \"log\"",
        ),
        (Output, "pii email", "add \"block\", \"mask\", or \"log\""),
        (Input, "pii mask block", "\"mask\" and \"block\" are both said"),
        (Input, "magic block", "unknown \"magic\"; known are pii, secrets"),
        (Output, "injection block", "write \"input injection\""),
        (Input, "leak block", "write \"output leak\""),
        (Input, "injection mask", "use \"block\" or \"log\""),
        (Input, "injection tokenize", "use \"block\" or \"log\""),
        (Output, "pii tokenize", "use \"mask\""),
        (Input, "pii block threshold=0", "it takes 1 to 100"),
        (Input, "pii block threshold=101", "it takes 1 to 100"),
        (Input, "pii block threshold=+5", "it takes 1 to 100"),
        (Input, "pii block threshold=5 threshold=6", "\"threshold=\" is given twice"),
        (Input, "list terms.txt block", "add \"name=terms\""),
        (Input, "pattern falcon block", "add \"name=codename\""),
        (Input, "pattern falcon name=a/b block", "a name has 1 to 64"),
        (Input, "pattern falcon eagle name=a block", "\"eagle\" is one word too many"),
        (Input, "pattern falcon name=a block threshold=3", "and not for \"pattern\""),
        (Input, "pii block name=a", "and not for \"pii\""),
        (Input, "injection strong block", "\"strong\" is one word too many"),
        (Output, "leak all block", "\"all\" is one word too many"),
    ] {
        let problem = read(direction, text).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}

#[test]
fn roles_are_named_once() {
    let some = roles(&["user", "tool"]).unwrap();
    assert!(some.has(Role::User) && some.has(Role::Tool) && some.has(Role::Any));
    assert!(!some.has(Role::System) && !some.has(Role::Assistant));
    assert!(roles(&["user", "user"]).unwrap_err().contains("given twice"));
    assert!(roles(&["any"]).unwrap_err().contains("known are system, user"));
}

#[test]
fn a_direction_is_called_as_its_directive() {
    assert_eq!([Direction::Input, Direction::Output].map(Direction::name), ["input", "output"]);
}
