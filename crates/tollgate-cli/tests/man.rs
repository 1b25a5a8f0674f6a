//! `tollgate man`, as packages run it.
#![allow(clippy::unwrap_used, reason = "a test")]

mod command;

use command::tollgate;

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let run = tollgate(["man", folder.path().to_str().unwrap()]);
    assert_eq!((run.status, run.out.as_str()), (0, ""), "{}", run.err);
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("tollgate.1").contains("tollgate\\-key(1)"));
    assert!(page("tollgate-key-rotate.1").contains("\\-\\-file"));
    assert!(page("tollgate-status.1").contains("Exit status"));

    let missing = folder.path().join("missing");
    let refused = tollgate(["man", missing.to_str().unwrap()]);
    assert_eq!(refused.status, 3);
    assert!(refused.err.contains("the folder must be there"), "{}", refused.err);
}

#[test]
fn help_of_a_command_tells_more_than_the_list_of_commands() {
    for (command, more) in [
        (&["status"][..], "Exit status: 0"),
        (&["check"], "nginx -t"),
        (&["key", "create"], "The first line on stdout"),
        (&["key", "find"], "stdin"),
        (&["key", "rotate"], "The successor ends"),
        (&["client", "show"], "Exit status: 0"),
    ] {
        let help = |option| tollgate(command.iter().copied().chain([option])).out;
        assert!(help("--help").contains(more), "{command:?}: {}", help("--help"));
        assert!(!help("-h").contains(more), "{command:?}: {}", help("-h"));
    }
}
