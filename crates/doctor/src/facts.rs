//! What is known about the machine. What nobody could find out is `None`, or isn't there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::conf::Place;
use crate::finding::Severity;

/// What is known about the machine.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The version of nginx.
    pub nginx: Option<(u32, u32, u32)>,
    /// What `nginx -T` said of the configuration.
    pub said: Vec<Said>,
    /// The files that the configuration names.
    pub files: BTreeMap<String, Chain>,
    /// As whom the workers run.
    pub workers: Option<User>,
    /// Where programs of this machine listen (TCP).
    pub listening: Vec<SocketAddr>,
    /// Addresses of this machine among those that the configuration names.
    pub own: Vec<IpAddr>,
    /// Whether the clock is kept right.
    pub is_clock_kept: Option<bool>,
    /// How many processors there are.
    pub cpus: Option<usize>,
    /// How many clients the keys files have.
    pub clients: Option<usize>,
    /// For how many clients the zone has room.
    pub room: Option<usize>,
    /// A module that was replaced on the disk since nginx has loaded it.
    pub replaced_module: Option<String>,
    /// Files of keys of which nginx, as it runs, has not taken all.
    pub refused: Vec<Refused>,
    /// From where the latest requests came, as the audit log has them.
    pub callers: Option<Callers>,
    /// What the store of the cluster says, or why it says nothing; `None`: it wasn't asked.
    pub store: Option<Result<Store, String>>,
    /// What a server said to requests of strangers.
    pub probes: Vec<Probe>,
}

/// What the store of a cluster says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// By how much its clock and that of this machine are apart.
    pub seconds_apart: u64,
    /// How many nodes it has heard of lately.
    pub alive: usize,
    /// How many there are by the configuration, if it says so.
    pub expected: Option<u16>,
    /// What the server says of itself; `None`: it doesn't tell this user.
    pub server: Option<StoreServer>,
}

/// What a server of the store says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreServer {
    /// Which program it is, and its version.
    pub version: Option<(String, String)>,
    /// What it does when its memory is full.
    pub policy: Option<String>,
    /// Whether it writes down each change.
    pub is_append_only: Option<bool>,
}

/// A line that nginx said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How bad nginx finds it.
    pub severity: Severity,
    /// What it said.
    pub text: String,
    /// Where, if it said so.
    pub place: Option<Place>,
}

/// Files of keys of which nginx has not taken all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The files, which are used together.
    pub paths: Vec<String>,
    /// Why.
    pub why: String,
    /// How many keys that are; `None`: nothing of what the files hold now was taken.
    pub keys: Option<u64>,
}

/// A user, and its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The numbers of its groups.
    pub gids: Vec<u32>,
}

/// Whose a file or folder is, and who may do what with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Its path.
    pub path: String,
    /// The bits of its mode.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A file, and the folders that lead to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// From the root to the folder of the file, as far as they are there.
    pub folders: Vec<Rights>,
    /// The file; `None`: it isn't there.
    pub file: Option<Rights>,
}

/// From where the latest requests came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callers {
    /// How many were looked at.
    pub requests: usize,
    /// How many clients they are of.
    pub clients: usize,
    /// From how many addresses.
    pub addresses: usize,
    /// One of them.
    pub address: IpAddr,
}

/// What a server said to a request without a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What was asked for.
    pub url: String,
    /// The status; or why there was no answer.
    pub outcome: Result<u16, String>,
}

impl User {
    fn may(&self, rights: &Rights, bit: u32) -> bool {
        let shift = match (self.uid == rights.uid, self.gids.contains(&rights.gid)) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        self.uid == 0 || rights.mode >> shift & bit != 0
    }
}

impl Chain {
    /// What keeps a user from reading the file; `None`: nothing that is known.
    #[must_use]
    pub fn obstacle(&self, user: &User) -> Option<&Rights> {
        self.closed_folder(user).or_else(|| self.file.as_ref().filter(|file| !user.may(file, 4)))
    }

    /// What keeps a user from writing the file anew, in its folder.
    #[must_use]
    pub fn obstacle_to_writing(&self, user: &User) -> Option<&Rights> {
        self.closed_folder(user)
            .or_else(|| self.folders.last().filter(|folder| !user.may(folder, 2)))
    }

    fn closed_folder(&self, user: &User) -> Option<&Rights> {
        self.folders.iter().find(|folder| !user.may(folder, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(mode: u32, uid: u32, gid: u32) -> Rights {
        Rights { path: "x".to_owned(), mode, uid, gid }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        let user = User { name: "www-data".to_owned(), uid: 33, gids: vec![33] };
        let chain = |folder, file| Chain { folders: vec![folder], file: Some(file) };
        let open = rights(0o755, 0, 0);
        assert_eq!(chain(open.clone(), rights(0o640, 0, 33)).obstacle(&user), None);
        assert!(chain(open.clone(), rights(0o640, 0, 0)).obstacle(&user).is_some());
        // The group has no right that all others have.
        assert!(chain(open.clone(), rights(0o604, 0, 33)).obstacle(&user).is_some());
        assert!(chain(rights(0o700, 0, 0), rights(0o644, 0, 0)).obstacle(&user).is_some());
        assert!(chain(open.clone(), rights(0o644, 0, 0)).obstacle_to_writing(&user).is_some());
        assert_eq!(
            chain(rights(0o700, 33, 0), rights(0o600, 0, 0)).obstacle_to_writing(&user),
            None
        );
        let root = User { name: "root".to_owned(), uid: 0, gids: vec![0] };
        assert_eq!(chain(rights(0, 1, 1), rights(0, 1, 1)).obstacle(&root), None);
    }
}
