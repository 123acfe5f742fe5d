//! The environment variables, and the address of a cluster.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use holdall::executor::environment_variable;

/// Result of reading a setting. The error names the setting.
pub(crate) type Setting<T> = Result<T, String>;

/// Scheme of the addresses.
pub(crate) const SCHEME: &str = "ballista";

/// Returns an environment variable that is text.
pub(crate) fn text(name: &str) -> Setting<Option<String>> {
    let text = environment_variable(name)
        .map(OsString::into_string)
        .transpose();
    text.map_err(|value| refused(name, &value.to_string_lossy(), "a text"))
}

/// Returns an environment variable that `parse` understands.
pub(crate) fn parsed<T>(
    name: &str,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Setting<Option<T>> {
    let Some(text) = text(name)? else {
        return Ok(None);
    };
    let value = parse(&text).ok_or_else(|| refused(name, &text, expected))?;
    Ok(Some(value))
}

/// Returns an environment variable that is a path.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    environment_variable(name).map(PathBuf::from)
}

pub(crate) fn refused(name: &str, value: &str, expected: &str) -> String {
    format!("{name}: cannot use {value:?}, expected {expected}")
}

/// The parts of an address, such as `ballista://host:50050?slots=4&idle=5&wait=60&patience=10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterAddress {
    /// Host and port of the scheduler.
    pub(crate) scheduler: String,
    /// Maximum number of slots to use.
    pub(crate) slots: Option<usize>,
    /// Time after which slots are released if no job uses them.
    pub(crate) idle: Duration,
    /// Maximum time to wait for a slot.
    pub(crate) wait: Duration,
    /// Time after which a silent machine counts as lost.
    pub(crate) patience: Duration,
}

impl ClusterAddress {
    pub(crate) fn parse(address: &str) -> Setting<Self> {
        let expected = "ballista://HOST:PORT, optionally with ?slots=N&idle=SECONDS&wait=SECONDS&patience=SECONDS";
        let refuse = || refused("executor", address, expected);
        let rest = address
            .strip_prefix(SCHEME)
            .and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.ok_or_else(refuse)?;
        let (scheduler, options) = rest.split_once('?').unwrap_or((rest, ""));
        let scheduler = scheduler.trim_end_matches('/');
        let has_port = scheduler.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok()
        });
        if !has_port {
            return Err(refuse());
        }
        let mut parsed = Self {
            scheduler: scheduler.to_owned(),
            slots: None,
            idle: Duration::from_secs(1),
            wait: Duration::from_secs(600),
            patience: Duration::from_secs(10),
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or_else(refuse)?;
            let seconds = || {
                let seconds = value.parse().ok().filter(|seconds: &f64| *seconds > 0.0);
                seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            };
            match name {
                "slots" => {
                    let slots = value.parse().ok().filter(|slots| *slots > 0);
                    parsed.slots = Some(slots.ok_or_else(refuse)?);
                }
                "idle" => parsed.idle = seconds().ok_or_else(refuse)?,
                "wait" => parsed.wait = seconds().ok_or_else(refuse)?,
                "patience" => parsed.patience = seconds().ok_or_else(refuse)?,
                _ => return Err(refuse()),
            }
        }
        Ok(parsed)
    }
}

/// Returns the address of this machine on the route to a host.
pub(crate) fn route_to(host_and_port: &str) -> std::io::Result<IpAddr> {
    let mut last = std::io::Error::other("the name has no address");
    for target in host_and_port.to_socket_addrs()? {
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        // Connecting a UDP socket sends nothing.
        let route = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(target)?;
            socket.local_addr()
        });
        match route {
            Ok(address) => return Ok(address.ip()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns `host:port`, with brackets around an IPv6 address.
pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_options() {
        let address = ClusterAddress::parse("ballista://a:1?slots=4&idle=0.5&wait=60&patience=3");
        let address = address.unwrap();
        assert_eq!(address.scheduler, "a:1");
        assert_eq!(address.slots, Some(4));
        assert_eq!(address.idle, Duration::from_millis(500));
        assert_eq!(address.wait, Duration::from_secs(60));
        assert_eq!(address.patience, Duration::from_secs(3));
        let address = ClusterAddress::parse("ballista://[::1]:50050/").unwrap();
        assert_eq!((&*address.scheduler, address.slots), ("[::1]:50050", None));
    }

    #[test]
    fn an_address_that_is_not_one_is_refused() {
        for address in [
            "ballista://",
            "ballista://host",
            "ballista://:1",
            "ballista://host:port",
            "ballista://host:1?slots=0",
            "ballista://host:1?slots=x",
            "ballista://host:1?idle=-1",
            "ballista://host:1?wait",
            "ballista://host:1?other=1",
            "spark://host:1",
        ] {
            let error = ClusterAddress::parse(address).unwrap_err();
            assert!(
                error.contains(address) && error.contains("ballista://HOST:PORT"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_route_to_this_machine_is_the_loopback() {
        assert!(route_to("127.0.0.1:1").unwrap().is_loopback());
        assert_eq!(host_and_port("::1", 5), "[::1]:5");
        assert_eq!(host_and_port("a", 5), "a:5");
    }
}
