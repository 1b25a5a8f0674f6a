//! Who else than the operator could change a file of keys or of guards, or read a secret.

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
    /// What it is mounted in can't be written: by nobody, whatever the mode says.
    pub is_read_only: bool,
}

impl Rights {
    /// Whether every user of the machine may write it. Into a folder whose sticky bit is set everybody may
    /// put files, and nobody may replace those of others.
    fn all_write(self, is_folder: bool) -> bool {
        self.mode & 0o002 != 0 && self.is_open(is_folder)
    }

    fn is_open(self, is_folder: bool) -> bool {
        let is_sticky = is_folder && self.mode & 0o1000 != 0;
        !(self.is_read_only || is_sticky)
    }

    /// Whether a group may write it that has others than root and its owner in it. The group with the
    /// number of the owner is his own, unless the workers are in it as well.
    fn others_write(self, is_folder: bool, of_workers: &[u32]) -> bool {
        let is_own =
            (self.group == 0 || self.group == self.user) && !of_workers.contains(&self.group);
        self.mode & 0o020 != 0 && !is_own && self.is_open(is_folder)
    }
}

/// What a file is for, and so what whoever writes it gains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Who is let in.
    Keys,
    /// The same, by what must not be read: whoever does can make what is verified with it.
    Secret,
    /// What guards look for.
    Guards,
}

impl Purpose {
    fn gain(self) -> &'static str {
        match self {
            Self::Keys | Self::Secret => "let himself in",
            Self::Guards => "switch guards off",
        }
    }
}

/// A file, with the folders that it is in, as far as these are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement<'p> {
    /// The file itself, where links lead to.
    pub file: Rights,
    /// All folders around it, the nearest first; and those around the links that lead to it.
    pub folders: Vec<(&'p str, Rights)>,
    /// What the file is for.
    pub purpose: Purpose,
    /// Whoever runs a container, or a unit of systemd, has put it into memory for this nginx alone.
    pub is_handed_in: bool,
    /// The groups that the workers are in, where they are somebody else than who starts nginx.
    pub worker_groups: &'p [u32],
}

/// What somebody else could do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Danger {
    /// Every user may write the file.
    AllWrite(Purpose),
    /// The group may.
    GroupWrites(u32, Purpose),
    /// It belongs to the workers.
    WorkersOwn(Purpose),
    /// Every user may replace it.
    AllReplace(String),
    /// The group may.
    GroupReplaces(u32, String),
    /// The workers may.
    WorkersReplace(String),
    /// Every user may read the secret.
    AllRead,
}

impl fmt::Display for Danger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllWrite(purpose) => write!(
                f,
                "can be written by every user of this machine, who could so {}; \"chmod o-w\" it",
                purpose.gain()
            ),
            Self::GroupWrites(group, purpose) => write!(
                f,
                "can be written by everybody in the group {group}, who could so {}; \"chmod g-w\" it, or \
                 \"chgrp\" it to root",
                purpose.gain()
            ),
            Self::WorkersOwn(purpose) => write!(
                f,
                "belongs to the user of the workers, so that whoever gets hold of a worker could {}; \"chown \
                 root\" it, and let the group of the workers read it",
                purpose.gain()
            ),
            Self::AllReplace(folder) => write!(
                f,
                "can be replaced by every user of this machine, as the folder \"{folder}\" can be written; \
                 \"chmod o-w\" that"
            ),
            Self::GroupReplaces(group, folder) => write!(
                f,
                "can be replaced by everybody in the group {group}, as the folder \"{folder}\" can be written; \
                 \"chmod g-w\" that"
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
pub fn dangers(place: &Placement<'_>, workers: Option<u32>) -> Vec<Danger> {
    let workers = workers.filter(|user| *user != 0);
    let of_workers = workers.map_or(&[][..], |_| place.worker_groups);
    let file = place.file;
    let mut dangers = Vec::new();
    if file.all_write(false) {
        dangers.push(Danger::AllWrite(place.purpose));
    } else if file.others_write(false, of_workers) {
        dangers.push(Danger::GroupWrites(file.group, place.purpose));
    }
    // Who owns a file may give himself the right to write it.
    let is_of_workers = |rights: Rights| Some(rights.user) == workers && !rights.is_read_only;
    if is_of_workers(file) {
        dangers.push(Danger::WorkersOwn(place.purpose));
    }
    // A folder further up can be renamed, with all that is in it. One of each kind is enough.
    let first = |fits: &dyn Fn(Rights) -> bool| {
        let found = place.folders.iter().find(|(_, folder)| fits(*folder));
        found.map(|(name, folder)| ((*name).to_owned(), *folder))
    };
    if let Some((name, _)) = first(&|folder| folder.all_write(true)) {
        dangers.push(Danger::AllReplace(name));
    } else if let Some((name, folder)) = first(&|folder| folder.others_write(true, of_workers)) {
        dangers.push(Danger::GroupReplaces(folder.group, name));
    }
    if let Some((name, _)) = first(&is_of_workers) {
        dangers.push(Danger::WorkersReplace(name));
    }
    let can_enter = || place.folders.iter().all(|(_, folder)| folder.mode & 0o001 != 0);
    let is_secret = place.purpose == Purpose::Secret;
    if is_secret && !place.is_handed_in && file.mode & 0o004 != 0 && can_enter() {
        dangers.push(Danger::AllRead);
    }
    dangers
}

#[cfg(test)]
mod tests {
    use super::Purpose::{Guards, Keys, Secret};
    use super::*;

    const WORKERS: u32 = 33;

    fn rights(user: u32, group: u32, mode: u32) -> Rights {
        Rights { user, group, mode, is_read_only: false }
    }

    fn place(file: Rights, folder: Rights, purpose: Purpose) -> Placement<'static> {
        let folders = vec![("/keys", folder), ("/", rights(0, 0, 0o755))];
        Placement { file, folders, purpose, is_handed_in: false, worker_groups: &[WORKERS] }
    }

    #[test]
    fn whoever_could_change_keys_is_told() {
        let folder = rights(0, 0, 0o755);
        for (file, expected) in [
            (rights(0, 0, 0o644), vec![]),
            (rights(0, WORKERS, 0o640), vec![]),
            (rights(0, 0, 0o664), vec![]),
            (rights(1000, 1000, 0o664), vec![]),
            (rights(0, 0, 0o666), vec![Danger::AllWrite(Keys)]),
            (rights(0, WORKERS, 0o660), vec![Danger::GroupWrites(WORKERS, Keys)]),
            (rights(1000, 50, 0o664), vec![Danger::GroupWrites(50, Keys)]),
            (rights(WORKERS, WORKERS, 0o600), vec![Danger::WorkersOwn(Keys)]),
            (
                rights(WORKERS, WORKERS, 0o602),
                vec![Danger::AllWrite(Keys), Danger::WorkersOwn(Keys)],
            ),
        ] {
            assert_eq!(dangers(&place(file, folder, Keys), Some(WORKERS)), expected, "{file:?}");
        }
    }

    #[test]
    fn whoever_could_replace_keys_is_told() {
        let file = rights(0, 0, 0o644);
        for (folder, expected) in [
            (rights(0, 0, 0o755), vec![]),
            (rights(0, 0, 0o1777), vec![]),
            (rights(0, 0, 0o777), vec![Danger::AllReplace("/keys".into())]),
            (rights(0, 0, 0o775), vec![]),
            (rights(1000, 1000, 0o775), vec![]),
            (rights(0, WORKERS, 0o750), vec![]),
            (rights(0, WORKERS, 0o2770), vec![Danger::GroupReplaces(WORKERS, "/keys".into())]),
            (rights(1000, 50, 0o775), vec![Danger::GroupReplaces(50, "/keys".into())]),
            (rights(0, WORKERS, 0o3777), vec![]),
            (rights(WORKERS, WORKERS, 0o700), vec![Danger::WorkersReplace("/keys".into())]),
        ] {
            assert_eq!(dangers(&place(file, folder, Keys), Some(WORKERS)), expected, "{folder:?}");
        }
    }

    #[test]
    fn a_group_of_the_owner_that_the_workers_are_in_is_not_his_own() {
        let mut place = place(rights(1000, 1000, 0o664), rights(1000, 1000, 0o775), Keys);
        assert_eq!(dangers(&place, Some(WORKERS)), []);
        place.worker_groups = &[WORKERS, 1000];
        let expected =
            [Danger::GroupWrites(1000, Keys), Danger::GroupReplaces(1000, "/keys".into())];
        assert_eq!(dangers(&place, Some(WORKERS)), expected);
        assert_eq!(dangers(&place, None), []);
    }

    #[test]
    fn a_folder_further_up_can_be_renamed() {
        let (file, closed) = (rights(0, 0, 0o644), rights(0, 0, 0o755));
        let folders =
            vec![("/srv/www/keys", closed), ("/srv/www", rights(WORKERS, WORKERS, 0o755))];
        let place = Placement {
            file,
            folders,
            purpose: Keys,
            is_handed_in: false,
            worker_groups: &[WORKERS],
        };
        assert_eq!(dangers(&place, Some(WORKERS)), [Danger::WorkersReplace("/srv/www".into())]);
    }

    #[test]
    fn nobody_writes_what_is_mounted_to_be_read() {
        let fixed = |rights: Rights| Rights { is_read_only: true, ..rights };
        let folder = fixed(rights(WORKERS, WORKERS, 0o777));
        for mode in [0o666, 0o664] {
            let place = place(fixed(rights(WORKERS, 50, mode)), folder, Keys);
            assert_eq!(dangers(&place, Some(WORKERS)), [], "{mode:o}");
        }
        let open = place(fixed(rights(0, 0, 0o644)), fixed(rights(0, 0, 0o755)), Secret);
        assert_eq!(dangers(&open, Some(WORKERS)), [Danger::AllRead]);
        let handed_in = Placement { is_handed_in: true, ..open };
        assert_eq!(dangers(&handed_in, Some(WORKERS)), []);
    }

    #[test]
    fn whoever_could_read_a_secret_is_told() {
        let (open, closed) = (rights(0, 0, 0o755), rights(0, WORKERS, 0o750));
        for (mode, folder, purpose, expected) in [
            (0o644, open, Secret, vec![Danger::AllRead]),
            (0o640, open, Secret, vec![]),
            (0o644, closed, Secret, vec![]),
            (0o644, open, Keys, vec![]),
            (0o644, open, Guards, vec![]),
        ] {
            let place = place(rights(0, 0, mode), folder, purpose);
            assert_eq!(dangers(&place, Some(WORKERS)), expected, "{mode:o}");
        }
    }

    #[test]
    fn nothing_can_be_kept_from_workers_that_are_who_starts_nginx() {
        let place = place(rights(1000, 1000, 0o600), rights(1000, 1000, 0o700), Secret);
        assert_eq!(dangers(&place, None), []);
        let of_root = Placement { file: rights(0, 0, 0o600), folders: vec![], ..place };
        assert_eq!(dangers(&of_root, Some(0)), []);
    }

    #[test]
    fn it_is_told_what_somebody_gains() {
        let file = rights(WORKERS, 50, 0o666);
        for (purpose, gain) in [(Keys, "let himself in"), (Guards, "switch guards off")] {
            let found = dangers(&place(file, rights(0, 0, 0o755), purpose), Some(WORKERS));
            assert_eq!(found, [Danger::AllWrite(purpose), Danger::WorkersOwn(purpose)]);
            assert!(found
                .iter()
                .all(|danger| danger.to_string().contains(&format!("could {gain};"))
                    || danger.to_string().contains(&format!("could so {gain};"))));
            assert!(Danger::GroupWrites(50, purpose).to_string().contains(gain));
        }
    }
}
