//! `tollgate_cluster`: the store that nodes share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::words::{error, file_name, words, Done};
use crate::conf::cluster::{hostname, Cluster, MIN_LEASES};
use crate::conf::MainConf;
use nginx::conf::{parse_size, ConfContext};
use store_client::{Access, Config};
use tollgate_core::nginx_text::file_name::Use;

/// `tollgate_cluster URL... [PARAMETER=VALUE ...] [leases=SIZE] [revocations=PATH]`
pub(super) fn cluster(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let of_cluster = |problem: String| error(format!("\"tollgate_cluster\": {problem}"));
    if conf.following.cluster.is_some() {
        return Err(error("\"tollgate_cluster\" directive is duplicate: a node is in one cluster"));
    }
    let (mut leases, mut revocations) = (None, None);
    let mut rest = Vec::new();
    for word in words(args).1 {
        match word.strip_prefix("leases=") {
            Some(size) if leases.is_none() => {
                let bytes = parse_size(size).filter(|bytes| *bytes >= MIN_LEASES);
                leases = Some(bytes.ok_or_else(|| {
                    of_cluster(format!(
                        "invalid \"leases={}\"; it is the size of memory, {}k at least",
                        size.escape_debug(),
                        MIN_LEASES / 1024
                    ))
                })?);
            }
            Some(_) => return Err(of_cluster("\"leases=\" stands there twice".to_owned())),
            None => match word.strip_prefix("revocations=") {
                Some(path) if revocations.is_none() => {
                    let what = "\"revocations=\" of \"tollgate_cluster\"";
                    revocations = Some(cx.prefix_path(file_name(what, path, Use::Kept)?)?);
                }
                Some(_) => {
                    return Err(of_cluster("\"revocations=\" stands there twice".to_owned()))
                }
                None => rest.push(word.as_str()),
            },
        }
    }
    let mut config =
        Config::parse(rest, &hostname()).map_err(|problem| of_cluster(problem.to_string()))?;
    let resolve = |what: &str, path: &mut Option<PathBuf>| -> Done {
        let Some(text) = path.as_ref().and_then(|path| path.to_str()) else { return Ok(()) };
        let text = file_name(&format!("\"{what}=\" of \"tollgate_cluster\""), text, Use::Read)?;
        *path = Some(cx.prefix_path(text)?.into());
        Ok(())
    };
    resolve("password_file", &mut config.password_file)?;
    resolve("sentinel_password_file", &mut config.sentinel_password_file)?;
    resolve("ca", &mut config.tls.ca)?;
    let (mut certificate, mut key) = config.tls.certificate.take().unzip();
    resolve("certificate", &mut certificate)?;
    resolve("certificate_key", &mut key)?;
    config.tls.certificate = certificate.zip(key);
    // By whoever reads the configuration, as the workers may not: its paths are whole ones by now.
    let access =
        Access::read(&config, Path::new("/")).map_err(|problem| of_cluster(problem.to_string()))?;
    let (config, place) = (Arc::new(config), cx.position());
    conf.following.cluster = Some(Cluster { config, access, leases, revocations, place });
    Ok(())
}
