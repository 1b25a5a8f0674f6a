//! Who else than the operator could change a file of keys, or read a secret.

use std::fmt;

/// What the system says of a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// Its owner.
    pub user: u32,
    /// Its group.
    pub group: u32,
    /// The bits of its mode (inode(7)).
    pub mode: u32,
}

impl Rights {
    /// Whether every user of the machine may write it. Into a folder whose sticky bit is set everybody may
    /// put files, and nobody may replace those of others.
    fn all_write(self, is_folder: bool) -> bool {
        self.mode & 0o002 != 0 && !(is_folder && self.mode & 0o1000 != 0)
    }

    /// Whether a group may write it that has others than root and its owner in it. The group with the
    /// number of the owner is his own.
    fn others_write(self) -> bool {
        self.mode & 0o020 != 0 && self.group != 0 && self.group != self.user
    }
}

/// A file, with the folders that it is in, as far as these are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place<'p> {
    /// The file itself, where links lead to.
    pub file: Rights,
    /// All folders around it, the nearest first.
    pub folders: Vec<(&'p str, Rights)>,
    /// Whoever reads it can make what the file is to verify.
    pub is_secret: bool,
}

/// What somebody else could do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Every user may write the file.
    AllWrite,
    /// The group may.
    GroupWrites(u32),
    /// It belongs to the workers.
    WorkersOwn,
    /// Every user may replace it.
    AllReplace(String),
    /// The workers may.
    WorkersReplace(String),
    /// Every user may read the secret.
    AllRead,
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllWrite => f.write_str(
                "can be written by every user of this machine, who could so let himself in; \"chmod o-w\" it",
            ),
            Self::GroupWrites(group) => write!(
                f,
                "can be written by everybody in the group {group}, who could so let himself in; \"chmod \
                 g-w\" it, or \"chgrp\" it to root"
            ),
            Self::WorkersOwn => f.write_str(
                "belongs to the user of the workers, so that whoever gets hold of a worker could let himself \
                 in; \"chown root\" it, and let the group of the workers read it",
            ),
            Self::AllReplace(folder) => write!(
                f,
                "can be replaced by every user of this machine, as the folder \"{folder}\" can be written; \
                 \"chmod o-w\" that"
            ),
            Self::WorkersReplace(folder) => write!(
                f,
                "can be replaced by the user of the workers, to whom the folder \"{folder}\" belongs; \
                 \"chown root\" that"
            ),
            Self::AllRead => f.write_str(
                "holds a secret, and can be read by every user of this machine, who could so make tokens; \
                 \"chmod o-r\" it, and let the group of the workers read it",
            ),
        }
    }
}

/// What the operator should know. `workers`: their user, if that is another one than who starts nginx;
/// where it is the same, nothing can be kept from it.
#[must_use]
pub fn dangers(place: &Place<'_>, workers: Option<u32>) -> Vec<Danger> {
    let workers = workers.filter(|user| *user != 0);
    let file = place.file;
    let mut dangers = Vec::new();
    if file.all_write(false) {
        dangers.push(Danger::AllWrite);
    } else if file.others_write() {
        dangers.push(Danger::GroupWrites(file.group));
    }
    if Some(file.user) == workers {
        dangers.push(Danger::WorkersOwn);
    }
    let open = place.folders.iter().find(|(_, folder)| folder.all_write(true));
    dangers.extend(open.map(|(name, _)| Danger::AllReplace((*name).to_owned())));
    let own = place.folders.first().filter(|(_, folder)| Some(folder.user) == workers);
    dangers.extend(own.map(|(name, _)| Danger::WorkersReplace((*name).to_owned())));
    let can_enter = || place.folders.iter().all(|(_, folder)| folder.mode & 0o001 != 0);
    if place.is_secret && file.mode & 0o004 != 0 && can_enter() {
        dangers.push(Danger::AllRead);
    }
    dangers
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKERS: u32 = 33;

    fn rights(user: u32, group: u32, mode: u32) -> Rights {
        Rights { user, group, mode }
    }

    fn place(file: Rights, folder: Rights, is_secret: bool) -> Place<'static> {
        Place { file, folders: vec![("/keys", folder), ("/", rights(0, 0, 0o755))], is_secret }
    }

    #[test]
    fn whoever_could_change_keys_is_told() {
        let folder = rights(0, 0, 0o755);
        for (file, expected) in [
            (rights(0, 0, 0o644), vec![]),
            (rights(0, WORKERS, 0o640), vec![]),
            (rights(0, 0, 0o664), vec![]),
            (rights(1000, 1000, 0o664), vec![]),
            (rights(0, 0, 0o666), vec![Danger::AllWrite]),
            (rights(0, WORKERS, 0o660), vec![Danger::GroupWrites(WORKERS)]),
            (rights(1000, 50, 0o664), vec![Danger::GroupWrites(50)]),
            (rights(WORKERS, WORKERS, 0o600), vec![Danger::WorkersOwn]),
            (rights(WORKERS, WORKERS, 0o602), vec![Danger::AllWrite, Danger::WorkersOwn]),
        ] {
            assert_eq!(dangers(&place(file, folder, false), Some(WORKERS)), expected, "{file:?}");
        }
    }

    #[test]
    fn whoever_could_replace_keys_is_told() {
        let file = rights(0, 0, 0o644);
        for (folder, expected) in [
            (rights(0, 0, 0o755), vec![]),
            (rights(0, 0, 0o1777), vec![]),
            (rights(0, 0, 0o777), vec![Danger::AllReplace("/keys".into())]),
            (rights(WORKERS, WORKERS, 0o700), vec![Danger::WorkersReplace("/keys".into())]),
        ] {
            assert_eq!(dangers(&place(file, folder, false), Some(WORKERS)), expected, "{folder:?}");
        }
    }

    #[test]
    fn whoever_could_read_a_secret_is_told() {
        let (open, closed) = (rights(0, 0, 0o755), rights(0, WORKERS, 0o750));
        for (mode, folder, is_secret, expected) in [
            (0o644, open, true, vec![Danger::AllRead]),
            (0o640, open, true, vec![]),
            (0o644, closed, true, vec![]),
            (0o644, open, false, vec![]),
        ] {
            let place = place(rights(0, 0, mode), folder, is_secret);
            assert_eq!(dangers(&place, Some(WORKERS)), expected, "{mode:o}");
        }
    }

    #[test]
    fn nothing_can_be_kept_from_workers_that_are_who_starts_nginx() {
        let place = place(rights(1000, 1000, 0o600), rights(1000, 1000, 0o700), true);
        assert_eq!(dangers(&place, None), []);
        let of_root = Place { file: rights(0, 0, 0o600), folders: vec![], is_secret: true };
        assert_eq!(dangers(&of_root, Some(0)), []);
    }
}
