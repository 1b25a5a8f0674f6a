//! The limits of this node as a mirror of the use of the whole cluster.
use tollgate_core::cluster::exchange::Mirror;
use super::Mapped;
pub(crate) struct ZoneMirror<'z>(&'z Mapped);
impl<'z> ZoneMirror<'z> { pub(crate) fn new(zone: &'z Mapped) -> Self { Self(zone) } }
impl Mirror for ZoneMirror<'_> {}
