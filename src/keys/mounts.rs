//! What is mounted where, as the kernel tells it (proc(5), `/proc/self/mountinfo`).

use std::fs;
use std::path::Path;

/// The mounts of this process, the latest last.
pub(crate) struct Mounts(Vec<Mount>);

pub(crate) struct Mount {
    point: Vec<u8>,
    /// Nobody can write there.
    pub(crate) is_read_only: bool,
    /// It is in memory, and gone when the machine, or the container, ends.
    pub(crate) is_memory: bool,
}

impl Mounts {
    /// `None` where the kernel doesn't tell.
    pub(crate) fn now() -> Option<Self> {
        Some(Self::parse(&fs::read("/proc/self/mountinfo").ok()?))
    }

    fn parse(text: &[u8]) -> Self {
        let mounts = text.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let point = unescaped(fields.nth(4)?);
            let options = fields.next()?;
            let mut behind = fields.skip_while(|field| *field != b"-").skip(1);
            let (kind, of_all) = (behind.next()?, behind.nth(1).unwrap_or_default());
            let is_ro =
                |options: &[u8]| options.split(|byte| *byte == b',').any(|one| one == b"ro");
            Some(Mount {
                point,
                is_read_only: is_ro(options) || is_ro(of_all),
                is_memory: kind == b"tmpfs" || kind == b"ramfs",
            })
        });
        Self(mounts.collect())
    }

    /// Whether something is mounted just there.
    pub(crate) fn has_point(&self, path: &Path) -> bool {
        let wanted = path.as_os_str().as_encoded_bytes();
        self.0.iter().any(|mount| mount.point == wanted)
    }

    /// What `path`, without links in it, is in.
    pub(crate) fn of(&self, path: &Path) -> Option<&Mount> {
        path.ancestors().find_map(|folder| {
            let wanted = folder.as_os_str().as_encoded_bytes();
            self.0.iter().rfind(|mount| mount.point == wanted)
        })
    }
}

/// Spaces, tabs, line ends and backslashes are written as `\040`, in octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.first_chunk::<3>().filter(|_| *first == b'\\');
        let code = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = behind.get(3..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_in_the_nearest_mount() {
        let mounts = Mounts::parse(
            b"22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n\
              40 22 0:5 / /run/my\\040secrets ro,relatime shared:7 master:1 - tmpfs tmpfs rw,size=4k\n\
              41 22 0:6 / /data rw - ext4 /dev/sdb ro,errors=continue\n\
              42 22 0:7 / /data rw - tmpfs tmpfs rw\n",
        );
        for (path, expected) in [
            ("/etc/keys.json", Some((false, false))),
            ("/run/my secrets/keys.json", Some((true, true))),
            ("/run/my secrets", Some((true, true))),
            ("/run/my", Some((false, false))),
            // What was mounted last hides what was there.
            ("/data/keys.json", Some((false, true))),
        ] {
            let found = mounts.of(Path::new(path));
            let found = found.map(|mount| (mount.is_read_only, mount.is_memory));
            assert_eq!(found, expected, "{path}");
        }
        assert!(mounts.has_point(Path::new("/run/my secrets")));
        assert!(!mounts.has_point(Path::new("/run/my secrets/keys.json")));
        let first = Mounts::parse(b"41 22 0:6 / /data rw - ext4 /dev/sdb ro\n");
        assert!(first.of(Path::new("/data/a")).is_some_and(|mount| mount.is_read_only));
    }
}
