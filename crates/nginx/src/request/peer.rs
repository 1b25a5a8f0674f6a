//! Who is at the other end of the connection, and with which certificate.

use std::ffi::c_int;
#[cfg(ngx_feature = "http_ssl")]
use std::ffi::{c_char, c_void, CStr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ngx::ffi::{
    in6_addr, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t, AF_INET, AF_INET6,
    AF_UNIX,
};
#[cfg(ngx_feature = "http_ssl")]
use ngx::ffi::{
    ngx_connection_t, ngx_http_connection_t, ngx_int_t, ngx_pool_t, ngx_ssl_get_client_verify,
    ngx_ssl_get_raw_certificate, ngx_ssl_get_server_name, ngx_ssl_get_session_reused, ngx_str_t,
    SSL_get_session, NGX_OK, SSL_SESSION,
};

#[cfg(ngx_feature = "http_ssl")]
use crate::conf::Verification;
use crate::request::Request;
#[cfg(ngx_feature = "http_ssl")]
use crate::text;
use crate::types::Types;

extern "C" {
    fn getpeername(fd: c_int, address: *mut sockaddr, len: *mut socklen_t) -> c_int;
    #[cfg(ngx_feature = "http_ssl")]
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// Who has connected to nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// From this address.
    Address(IpAddr),
    /// Through a UNIX-domain socket.
    Unix,
}

/// # Safety
///
/// `address` is null, or points at as many bytes as its family says.
pub(super) unsafe fn address_of(address: *const sockaddr) -> Option<IpAddr> {
    // SAFETY: by the contract of this function.
    unsafe {
        match u32::from(address.as_ref()?.sa_family) {
            AF_INET => {
                let v4 = &*address.cast::<sockaddr_in>();
                Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
            }
            AF_INET6 => {
                let v6: &in6_addr = &(*address.cast::<sockaddr_in6>()).sin6_addr;
                let octets: [u8; 16] = v6.__in6_u.__u6_addr8;
                Some(Ipv6Addr::from(octets).into())
            }
            _ => None,
        }
    }
}

impl<'r, T: Types> Request<'r, T> {
    /// Who has connected, as the kernel says: whatever `realip` or the PROXY protocol made of the client's
    /// address. `None`: it can't tell, as of HTTP/3.
    pub fn peer(self) -> Option<Peer> {
        // SAFETY: a live request has a connection; the kernel writes no more than there is room for.
        unsafe {
            let mut address: sockaddr_storage = std::mem::zeroed();
            let mut len = socklen_t::try_from(size_of::<sockaddr_storage>()).ok()?;
            let place = (&raw mut address).cast();
            if getpeername((*self.raw().connection).fd, place, &raw mut len) != 0 {
                return None;
            }
            match u32::from(address.ss_family) == AF_UNIX {
                true => Some(Peer::Unix),
                false => address_of(place).map(Peer::Address),
            }
        }
    }

    /// The number of its connection, which no other one of this process has had, if that is one with TLS. What
    /// the client presented when it began, is the same for all requests.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn tls_connection(self) -> Option<u64> {
        // SAFETY: a live request has a connection; those of a stream of HTTP/2 are copies of the real one.
        unsafe {
            let connection = &*self.raw().connection;
            (!connection.ssl.is_null()).then_some(connection.number)
        }
    }

    /// There is no TLS in this nginx.
    #[cfg(not(ngx_feature = "http_ssl"))]
    pub fn tls_connection(self) -> Option<u64> {
        None
    }

    /// The certificate that the client presented, in PEM; `Some(None)`: none. `None`: nginx has no memory, or
    /// can't tell.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn client_certificate(self) -> Option<Option<&'r [u8]>> {
        let certificate = self.of_tls(ngx_ssl_get_raw_certificate)?;
        Some(certificate.filter(|pem| !pem.is_empty()))
    }

    /// There is no TLS in this nginx.
    #[cfg(not(ngx_feature = "http_ssl"))]
    pub fn client_certificate(self) -> Option<Option<&'r [u8]>> {
        Some(None)
    }

    /// Whether the server of the connection found that certificate good when the connection began, or the
    /// session that it goes on with.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn is_certificate_verified(self) -> bool {
        self.of_tls(ngx_ssl_get_client_verify).flatten() == Some(b"SUCCESS")
            && self.is_session_of_its_name()
    }

    /// There is no TLS in this nginx.
    #[cfg(not(ngx_feature = "http_ssl"))]
    pub fn is_certificate_verified(self) -> bool {
        false
    }

    /// Whether the server of the request is the one of the connection, which the client named first of all or
    /// which is the default one, and it verifies certificates. What another one has verified, it did by CAs of
    /// its own.
    #[cfg(ngx_feature = "http_ssl")]
    pub fn verifies_certificates(self) -> bool {
        // SAFETY: nginx makes both; a request keeps what it knows of its connection as long as it lives.
        unsafe {
            let http: *const ngx_http_connection_t = self.raw().http_connection;
            let Some(ctx) = http.as_ref().and_then(|http| http.conf_ctx.as_ref()) else {
                return false;
            };
            std::ptr::eq(ctx.srv_conf, self.raw().srv_conf)
                && Verification::of(self.raw().srv_conf) == Verification::Done
        }
    }

    /// There is no TLS in this nginx.
    #[cfg(not(ngx_feature = "http_ssl"))]
    pub fn verifies_certificates(self) -> bool {
        false
    }

    /// Whether its TLS session began with the connection, or under the name that the client gives now. One of
    /// TLS 1.3 can go on under any name, and brings what the server of the first one has verified, by CAs of its
    /// own (CVE-2025-23419). An nginx in which that is mended still lets it go on where one of the two has no
    /// name.
    #[cfg(ngx_feature = "http_ssl")]
    fn is_session_of_its_name(self) -> bool {
        match self.of_tls(ngx_ssl_get_session_reused) {
            Some(Some(b".")) => true,
            Some(Some(b"r")) => {
                let name = self.of_tls(ngx_ssl_get_server_name).flatten();
                self.session_name().is_some_and(|first| first == name.unwrap_or_default())
            }
            _ => false,
        }
    }

    /// The name under which its TLS session began; empty: under none. `None`: the library can't tell.
    #[cfg(ngx_feature = "http_ssl")]
    fn session_name(self) -> Option<&'r [u8]> {
        type NameOf = unsafe extern "C" fn(*const SSL_SESSION) -> *const c_char;
        // SAFETY: the connection is live. A session lives as long as it, and the library whose function is looked
        // up by its name has it in this form; LibreSSL and BoringSSL may not have it at all.
        unsafe {
            let tls = (*self.raw().connection).ssl.as_ref()?;
            let found = dlsym(std::ptr::null_mut(), c"SSL_SESSION_get0_hostname".as_ptr());
            let name_of = std::mem::transmute::<*mut c_void, Option<NameOf>>(found)?;
            let session = SSL_get_session(tls.connection).as_ref()?;
            let name = name_of(session);
            Some(if name.is_null() { b"" } else { CStr::from_ptr(name).to_bytes() })
        }
    }

    /// What one of nginx's functions says of its TLS. `Some(None)`: there is no TLS. `None`: it failed.
    #[cfg(ngx_feature = "http_ssl")]
    fn of_tls(
        self,
        get: unsafe extern "C" fn(
            *mut ngx_connection_t,
            *mut ngx_pool_t,
            *mut ngx_str_t,
        ) -> ngx_int_t,
    ) -> Option<Option<&'r [u8]>> {
        if self.tls_connection().is_none() {
            return Some(None);
        }
        let mut value = ngx_str_t { len: 0, data: std::ptr::null_mut() };
        // SAFETY: the connection is live, and has TLS; what nginx says is in the request's pool, or constant.
        unsafe {
            let rc = get(self.raw().connection, self.raw().pool, &raw mut value);
            (rc == NGX_OK as ngx_int_t).then(|| Some(text::bytes(value)))
        }
    }
}
