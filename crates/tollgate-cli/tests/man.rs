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

    let missing = folder.path().join("missing");
    let refused = tollgate(["man", missing.to_str().unwrap()]);
    assert_eq!(refused.status, 3);
    assert!(refused.err.contains("the folder must be there"), "{}", refused.err);
}
