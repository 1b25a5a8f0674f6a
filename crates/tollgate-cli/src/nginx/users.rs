//! As whom nginx's workers run.

use std::fs;
use std::path::Path;

use tollgate_doctor::conf::Conf;
use tollgate_doctor::facts::User;

/// A user of a system, and the group that its workers have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: User,
    pub(crate) group: String,
    pub(crate) gid: u32,
}

/// The user that the configuration names, as the system in the folder `root` knows it; `None`: it doesn't.
pub(crate) fn user_of(conf: &Conf, root: &Path) -> Option<Account> {
    let line = conf.top("user");
    let name = line.and_then(|line| line.arg(0)).unwrap_or("nobody");
    let group = line.and_then(|line| line.arg(1));
    let read = |name: &str| fs::read_to_string(root.join("etc").join(name));
    account(name, group, &read("passwd").ok()?, &read("group").ok()?)
}

fn account(name: &str, group: Option<&str>, passwd: &str, groups: &str) -> Option<Account> {
    let entry = |text: &str, is_it: &dyn Fn(&[&str]) -> bool| -> Option<Vec<String>> {
        let lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = lines.into_iter().find(|fields| is_it(fields));
        found.map(|fields| fields.into_iter().map(str::to_owned).collect())
    };
    let of_user = entry(passwd, &|fields| fields.first() == Some(&name))?;
    let uid = of_user.get(2)?.parse().ok()?;
    let own_gid: String = of_user.get(3)?.clone();
    let of_group = match group {
        // A worker has its user's group, unless another one is named.
        Some(group) => entry(groups, &|fields| fields.first() == Some(&group))?,
        None => entry(groups, &|fields| fields.get(2) == Some(&own_gid.as_str()))?,
    };
    let gid = of_group.get(2)?.parse().ok()?;
    // initgroups(3) gives it those in which it is a member.
    let others = groups.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_member = fields.get(3)?.split(',').any(|member| member == name);
        is_member.then(|| fields.get(2)?.parse().ok()).flatten()
    });
    let gids = [gid].into_iter().chain(others).collect();
    let user = User { name: name.to_owned(), uid, gids };
    Some(Account { user, group: of_group.first()?.clone(), gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/sbin/nologin\n";
    const GROUPS: &str = "root:x:0:\nwww-data:x:33:\nadm:x:4:syslog,www-data\nkeys:x:99:\n";

    #[test]
    fn a_worker_has_the_groups_of_its_user() {
        let found = account("www-data", None, PASSWD, GROUPS).unwrap();
        assert_eq!((found.user.uid, found.gid, found.group.as_str()), (33, 33, "www-data"));
        assert_eq!(found.user.gids, [33, 4]);
        assert_eq!(account("www-data", Some("keys"), PASSWD, GROUPS).unwrap().gid, 99);
        assert_eq!(account("nginx", None, PASSWD, GROUPS), None);
    }
}
