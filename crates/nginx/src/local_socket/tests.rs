use super::place::{is_open_to_all, look, Found};
use super::*;
use std::os::unix::net::UnixListener;

fn folder(name: &str) -> std::path::PathBuf {
    let folder =
        std::env::temp_dir().join(format!("tollgate-socket-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_path_is_as_long_as_the_kernel_takes_it() {
    let path = "/".to_owned() + &"x".repeat(106);
    let address = address(&path).unwrap();
    assert_eq!((address.sun_path[0], address.sun_path[107]), (b'/'.cast_signed(), 0));
    let error = super::address(&(path + "x")).unwrap_err().to_string();
    assert!(error.contains("108 bytes long, and a socket's is at most 107"), "{error}");
}

#[test]
fn a_socket_that_was_left_is_told_from_one_in_use() {
    let folder = folder("place");
    let path = folder.join("socket");
    assert_eq!(look(&path), Found::Nothing);
    assert_eq!(look(&folder.join("none/socket")), Found::NoFolder);
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(look(&path), Found::Live);
    // Nobody was disturbed.
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(listener);
    assert_eq!(look(&path), Found::Stale);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "x").unwrap();
    assert_eq!(look(&path), Found::Foreign);
    let link = folder.join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(look(&link), Found::Foreign);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_folder_that_everybody_may_write_in_is_no_place() {
    let folder = folder("rights");
    for (mode, is_open) in [(0o755, false), (0o775, false), (0o777, true), (0o1777, false)] {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        assert_eq!(is_open_to_all(&folder.join("socket")), is_open, "{mode:o}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_kernel_says_who_is_there() {
    use std::os::fd::AsRawFd as _;
    let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let peer = Peer::of(one.as_raw_fd()).unwrap();
    assert_eq!(peer.pid, std::process::id());
    peer::note_owner();
    assert!(peer.is_heard());
    assert!(Peer { user: 0, ..peer }.is_heard());
    assert!(!Peer { user: 65_533, ..peer }.is_heard());
    assert_eq!(Peer::of(-1), None);
}
