//! The servers of a complete configuration, and their locations.

use std::ffi::{c_void, CStr};

use ngx::ffi::{
    ngx_array_t, ngx_http_conf_addr_t, ngx_http_conf_ctx_t, ngx_http_conf_port_t,
    ngx_http_core_loc_conf_t, ngx_http_core_main_conf_t, ngx_http_core_module,
    ngx_http_core_srv_conf_t, ngx_http_location_tree_node_t,
};

use super::context::ConfContext;
use super::expression::Expression;

use crate::text;
use crate::types::Types;

/// A `server` block, and what is in it.
pub struct Server<'c, T: Types> {
    /// What it says about the names of headers.
    pub header: HeaderRules,
    /// The same of the default servers of its addresses, but of those with TLS, where the client names the server
    /// before all else: they judge a header that comes before `Host`.
    pub before_host: Vec<HeaderRules>,
    /// Whether any of its addresses has TLS.
    pub has_tls: bool,
    /// `ssl_verify_client`
    pub verification: Verification,
    /// Its locations; the first of all is the server itself, for what no location fits.
    pub locations: Vec<Location<'c, T>>,
}

/// What a server does about the certificates of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It asks for none.
    Off,
    /// `on` or `optional`: what is wrong with one is told.
    Done,
    /// `optional_no_ca`: whoever has signed one is fine.
    Anybodys,
}

impl Verification {
    /// # Safety
    ///
    /// `confs` are those of the modules for a server, in a complete configuration.
    #[cfg(ngx_feature = "http_ssl")]
    pub(crate) unsafe fn of(confs: *mut *mut c_void) -> Self {
        use ngx::ffi::{ngx_http_ssl_module, ngx_http_ssl_srv_conf_t};
        // SAFETY: by the contract of this function; the module of nginx has its entry there.
        let conf = unsafe {
            (*confs.add(ngx_http_ssl_module.ctx_index)).cast::<ngx_http_ssl_srv_conf_t>().as_ref()
        };
        // As ngx_http_ssl_module.c numbers them.
        match conf.map_or(0, |conf| conf.verify) {
            1 | 2 => Self::Done,
            3 => Self::Anybodys,
            _ => Self::Off,
        }
    }

    /// # Safety
    ///
    /// None: there is no TLS in this nginx.
    #[cfg(not(ngx_feature = "http_ssl"))]
    pub(crate) unsafe fn of(_: *mut *mut c_void) -> Self {
        Self::Off
    }
}

/// What a server says about the names of headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRules {
    /// `underscores_in_headers`
    pub keeps_underscores: bool,
    /// `ignore_invalid_headers`
    pub drops_invalid: bool,
    /// The file of the server's block.
    pub file: String,
    /// Its line.
    pub line: usize,
}

/// A location, or the server around all of them.
pub struct Location<'c, T: Types> {
    name: Vec<u8>,
    kind: Kind,
    expression: Expression,
    /// `internal`
    pub is_internal: bool,
    /// `client_max_body_size`, in bytes; 0: any size.
    pub max_body: u64,
    /// nginx answers with a redirect to it where the slash at its end is missing.
    redirects: bool,
    /// No regular expression comes before it (`^~`).
    is_final: bool,
    /// What we keep of it.
    pub conf: &'c T::Loc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Server,
    Exact,
    Prefix,
    Regex,
    Named,
}

/// What nginx finds for a path.
pub enum Found<'l, 'c, T: Types> {
    /// This one.
    Location(&'l Location<'c, T>),
    /// A redirect to the same path with a slash at its end.
    Redirect,
    /// Nothing but what the server says for all paths.
    Nothing,
}

impl<T: Types> Location<'_, T> {
    /// Whether it is for the path `uri` and nothing else, or for what begins with it.
    pub fn is_of(&self, uri: &str) -> bool {
        match self.kind {
            Kind::Exact | Kind::Prefix => self.name == uri.as_bytes(),
            Kind::Server | Kind::Regex | Kind::Named => false,
        }
    }

    /// Whether it is what the server says for paths that have no location.
    pub fn is_server(&self) -> bool {
        self.kind == Kind::Server
    }

    /// As it is written.
    pub fn title(&self) -> String {
        let name = String::from_utf8_lossy(&self.name);
        let modifier = match self.kind {
            Kind::Exact => "= ",
            Kind::Regex => "~ ",
            Kind::Server | Kind::Prefix | Kind::Named => "",
        };
        format!("{modifier}{name}")
    }
}

impl<'c, T: Types> Server<'c, T> {
    /// The location of a request for the path `uri`: the one of just this path; or else the first regular
    /// expression that fits, if the longest prefix allows; or else that.
    pub fn find(&self, uri: &str) -> Found<'_, 'c, T> {
        let of = |kind| self.locations.iter().filter(move |location| location.kind == kind);
        if let Some(exact) = of(Kind::Exact).find(|location| location.is_of(uri)) {
            return Found::Location(exact);
        }
        let mut prefixes =
            self.locations.iter().filter(|l| matches!(l.kind, Kind::Exact | Kind::Prefix));
        let with_slash = |l: &Location<'_, T>| l.name.strip_suffix(b"/") == Some(uri.as_bytes());
        if prefixes.any(|location| location.redirects && with_slash(location)) {
            return Found::Redirect;
        }
        let fits = |location: &&Location<'_, T>| uri.as_bytes().starts_with(&location.name);
        let longest = of(Kind::Prefix).filter(fits).max_by_key(|location| location.name.len());
        if let Some(last) = longest.filter(|location| location.is_final) {
            return Found::Location(last);
        }
        let first = of(Kind::Regex).find(|location| location.expression.matches(uri)).or(longest);
        first.map_or(Found::Nothing, Found::Location)
    }
}

impl ConfContext<'_> {
    /// The servers of the `http` block that has just been read.
    ///
    /// # Safety
    ///
    /// Nothing else uses configurations of locations meanwhile, and the context is that of
    /// `postconfiguration`.
    pub(crate) unsafe fn servers<'c, T: Types>(&self) -> Vec<Server<'c, T>> {
        // SAFETY: by the contract of this function `http` is complete: nginx has merged its levels, and
        // made the trees of its locations.
        unsafe {
            let ctx = (*self.as_ptr()).ctx.cast::<ngx_http_conf_ctx_t>();
            let index = ngx_http_core_module.ctx_index;
            let core = &*(*(*ctx).main_conf.add(index)).cast::<ngx_http_core_main_conf_t>();
            let servers = core.servers.as_slice::<*mut ngx_http_core_srv_conf_t>();
            let of = |server: &*mut ngx_http_core_srv_conf_t| server_of(*server, core.ports);
            servers.iter().filter_map(of).collect()
        }
    }
}

/// # Safety
///
/// `server` is one of a complete configuration, whose `ports` these are.
unsafe fn server_of<'c, T: Types>(
    server: *mut ngx_http_core_srv_conf_t,
    ports: *mut ngx_array_t,
) -> Option<Server<'c, T>> {
    // SAFETY: by the contract of this function.
    unsafe {
        let address: *const ngx_http_core_srv_conf_t = server;
        let server = server.as_ref()?;
        let index = ngx_http_core_module.ctx_index;
        let confs = server.ctx.as_ref()?.loc_conf;
        let own = (*confs.add(index)).cast::<ngx_http_core_loc_conf_t>();
        let mut locations = Vec::new();
        locations.extend(location_of(own, confs, Kind::Server));
        add_named(&mut locations, server.named_locations);
        add_below(&mut locations, own);
        Some(Server {
            header: header_rules(server),
            before_host: before_host(address, ports),
            has_tls: has_tls(address, ports),
            verification: Verification::of(server.ctx.as_ref()?.srv_conf),
            locations,
        })
    }
}

/// # Safety
///
/// `server` is one of a complete configuration.
unsafe fn header_rules(server: &ngx_http_core_srv_conf_t) -> HeaderRules {
    let file = match server.file_name.is_null() {
        true => String::new(),
        // SAFETY: by the contract of this function: nginx keeps the name as a string with a NUL.
        false => unsafe { CStr::from_ptr(server.file_name.cast()) }.to_string_lossy().into_owned(),
    };
    HeaderRules {
        keeps_underscores: server.underscores_in_headers == 1,
        drops_invalid: server.ignore_invalid_headers != 0,
        file,
        line: server.line,
    }
}

/// Of the default servers of the addresses without TLS that a server has.
///
/// # Safety
///
/// As for [`addresses_of`].
unsafe fn before_host(
    server: *const ngx_http_core_srv_conf_t,
    ports: *mut ngx_array_t,
) -> Vec<HeaderRules> {
    // SAFETY: by the contract of this function.
    unsafe {
        let without_tls =
            addresses_of(server, ports).into_iter().filter(|address| address.opt.ssl() == 0);
        let rules =
            without_tls.filter_map(|address| Some(header_rules(address.default_server.as_ref()?)));
        rules.collect()
    }
}

/// Whether any address of a server has TLS. (That of HTTP/3 needs no `ssl`.)
///
/// # Safety
///
/// As for [`addresses_of`].
unsafe fn has_tls(server: *const ngx_http_core_srv_conf_t, ports: *mut ngx_array_t) -> bool {
    // SAFETY: by the contract of this function.
    unsafe {
        addresses_of(server, ports).into_iter().any(|address| {
            #[cfg(ngx_feature = "http_v3")]
            let is_quic = address.opt.quic() != 0;
            #[cfg(not(ngx_feature = "http_v3"))]
            let is_quic = false;
            address.opt.ssl() != 0 || is_quic
        })
    }
}

/// The addresses that a server has.
///
/// # Safety
///
/// `ports` are those of a complete configuration, as yet not optimised.
unsafe fn addresses_of<'c>(
    server: *const ngx_http_core_srv_conf_t,
    ports: *mut ngx_array_t,
) -> Vec<&'c ngx_http_conf_addr_t> {
    // SAFETY: by the contract of this function: arrays of what nginx keeps in each.
    unsafe {
        let Some(ports) = ports.as_ref() else { return Vec::new() };
        let addresses =
            ports.as_slice::<ngx_http_conf_port_t>().iter().flat_map(|port| port.addrs.as_slice());
        let ours = addresses.filter(|address: &&ngx_http_conf_addr_t| {
            let servers = address.servers.as_slice::<*mut ngx_http_core_srv_conf_t>();
            servers.iter().any(|one| one.cast_const() == server)
        });
        ours.collect()
    }
}

/// # Safety
///
/// `conf` is null, or one of a complete configuration; `confs` are those of all modules there.
unsafe fn location_of<'c, T: Types>(
    conf: *mut ngx_http_core_loc_conf_t,
    confs: *mut *mut c_void,
    kind: Kind,
) -> Option<Location<'c, T>> {
    // SAFETY: by the contract of this function; our entry is what `create_loc` made.
    unsafe {
        let own = conf.as_ref()?;
        let ours = *confs.as_ref().map(|_| confs.add(T::registration().ctx_index()))?;
        Some(Location {
            name: text::bytes(own.name).to_vec(),
            kind,
            expression: Expression::of(own),
            is_internal: own.internal == 1,
            max_body: u64::try_from(own.client_max_body_size).unwrap_or(0),
            redirects: own.auto_redirect() != 0,
            is_final: own.noregex() != 0,
            conf: ours.cast::<T::Loc>().as_ref()?,
        })
    }
}

/// # Safety
///
/// `conf` is null, or that of a location in a server.
unsafe fn below<'c, T: Types>(
    conf: *mut ngx_http_core_loc_conf_t,
    kind: Kind,
) -> Option<Location<'c, T>> {
    // SAFETY: by the contract of this function: locations keep where the other modules' are.
    unsafe { location_of(conf, conf.as_ref()?.loc_conf, kind) }
}

/// A list that ends with a null.
///
/// # Safety
///
/// `list` is null, or such a list of a complete configuration.
unsafe fn add_named<T: Types>(
    locations: &mut Vec<Location<'_, T>>,
    mut list: *mut *mut ngx_http_core_loc_conf_t,
) {
    // SAFETY: by the contract of this function.
    unsafe {
        while let Some(conf) = list.as_ref().filter(|conf| !conf.is_null()) {
            locations.extend(below(*conf, Kind::Named));
            add_below(locations, *conf);
            list = list.add(1);
        }
    }
}

/// Adds the locations within one, and those within them.
///
/// # Safety
///
/// `conf` is null, or one of a complete configuration.
unsafe fn add_below<T: Types>(
    locations: &mut Vec<Location<'_, T>>,
    conf: *mut ngx_http_core_loc_conf_t,
) {
    // SAFETY: by the contract of this function: of the trees and lists that nginx made.
    unsafe {
        let Some(conf) = conf.as_ref() else { return };
        let mut regex = conf.regex_locations;
        while let Some(found) = regex.as_ref().filter(|found| !found.is_null()) {
            locations.extend(below(*found, Kind::Regex));
            add_below(locations, *found);
            regex = regex.add(1);
        }
        let mut nodes: Vec<*mut ngx_http_location_tree_node_t> = vec![conf.static_locations];
        while let Some(node) = nodes.pop() {
            let Some(node) = node.as_ref() else { continue };
            nodes.extend([node.left, node.right, node.tree]);
            for (found, kind) in [(node.exact, Kind::Exact), (node.inclusive, Kind::Prefix)] {
                locations.extend(below(found, kind));
                add_below(locations, found);
            }
        }
    }
}
