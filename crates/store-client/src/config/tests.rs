use super::*;

fn parse(words: &[&str]) -> Result<Config, String> {
    Config::parse(words.iter().copied(), "node-7").map_err(|error| error.to_string())
}

#[test]
fn one_server_and_the_number_of_nodes_are_enough() {
    let config = parse(&["redis://cache-1", "expected_nodes=4"]).unwrap();
    assert_eq!(config.addresses[0].place, Place::Host("cache-1".to_owned(), 6379));
    assert_eq!((config.topology.clone(), config.on_loss), (Topology::Single, OnLoss::Share));
    assert_eq!((config.name.as_str(), config.node.as_str()), ("default", "node-7"));
    assert_eq!(config.exchange, Duration::from_millis(50));
    assert!(config.is_exposed() && !config.has_tls());
}

#[test]
fn all_parameters_are_read() {
    let config = parse(&[
        "rediss://gate@a.example:6380/3",
        "rediss://gate@[2001:db8::1]:6381/3",
        "sentinel=main",
        "password_file=/etc/p",
        "sentinel_password_file=/etc/s",
        "ca=ca.pem",
        "certificate=c.pem",
        "certificate_key=k.pem",
        "tls_name=store",
        "name=prod",
        "node=east-1",
        "exchange=250ms",
        "on_loss=deny",
    ])
    .unwrap();
    assert_eq!(config.addresses[1].place, Place::Host("2001:db8::1".to_owned(), 6381));
    assert_eq!(config.addresses[1].place.to_string(), "[2001:db8::1]:6381");
    assert_eq!(
        (config.addresses[0].user.as_deref(), config.addresses[0].database),
        (Some("gate"), 3)
    );
    assert_eq!(config.topology, Topology::Sentinel("main".to_owned()));
    assert_eq!((config.name.as_str(), config.node.as_str()), ("prod", "east-1"));
    assert_eq!((config.exchange, config.on_loss), (Duration::from_millis(250), OnLoss::Deny));
    assert_eq!(config.tls.name.as_deref(), Some("store"));
    assert!(!config.is_exposed());
}

#[test]
fn a_socket_and_this_machine_are_exposed_to_nobody() {
    for url in
        ["unix:/run/valkey.sock", "redis://127.0.0.1", "redis://[::1]:1", "redis://localhost"]
    {
        assert!(!parse(&[url, "on_loss=local"]).unwrap().is_exposed(), "{url}");
    }
    assert!(parse(&["redis://10.0.0.1", "on_loss=local"]).unwrap().is_exposed());
}

#[test]
fn mistakes_are_named_with_the_way_out() {
    let cases: &[(&[&str], &str)] = &[
        (&["on_loss=local"], "address of a store is missing"),
        (&["redis://a"], "needs \"expected_nodes=\""),
        (&["redis://a", "redis://b", "on_loss=deny"], "several servers need \"cluster\""),
        (&["redis://a", "cluster", "sentinel=x", "on_loss=deny"], "exclude each other"),
        (&["redis://a", "cluster", "cluster", "on_loss=deny"], "twice"),
        (&["redis://a/1", "cluster", "on_loss=deny"], "only the database 0"),
        (&["redis://a", "rediss://b", "cluster", "on_loss=deny"], "same scheme"),
        (&["unix:/s", "cluster", "on_loss=deny"], "names one server"),
        (&["unix:s", "on_loss=deny"], "whole path"),
        (&["redis://a", "ca=x", "on_loss=deny"], "rediss://"),
        (&["rediss://a", "certificate=x", "on_loss=deny"], "need each other"),
        (&["redis://u@a", "on_loss=deny"], "needs \"password_file=\""),
        (&["redis://a", "exchange=5ms", "on_loss=deny"], "from 10ms to 250ms"),
        (&["redis://a", "exchange=251ms", "on_loss=deny"], "from 10ms to 250ms"),
        (&["redis://a", "exchange=1s", "on_loss=deny"], "from 10ms to 250ms"),
        (&["redis://a", "exchange=50", "on_loss=deny"], "from 10ms to 250ms"),
        (&["redis://a", "on_loss=open"], "must be \"share\", \"local\" or \"deny\""),
        (&["redis://a", "expected_nodes=0"], "from 1 to 1000"),
        (&["redis://a", "expected_nodes=+4"], "from 1 to 1000"),
        (&["redis://a", "name={x}", "on_loss=deny"], "letters, digits"),
        (&["redis://a", "node=", "on_loss=deny"], "letters, digits"),
        (&["redis://a:0", "on_loss=deny"], "a host, or a host and a port"),
        (&["redis://a:65536", "on_loss=deny"], "a host, or a host and a port"),
        (&["redis://", "on_loss=deny"], "a host, or a host and a port"),
        (&["redis://[::1", "on_loss=deny"], "a host, or a host and a port"),
        (&["redis://a/x", "on_loss=deny"], "number of a database"),
        (&["http://a", "on_loss=deny"], "must begin with"),
        (&["redis://a", "timeout=5s", "on_loss=deny"], "unknown parameter \"timeout\""),
        (&["redis://a", "what", "on_loss=deny"], "unknown parameter \"what\""),
        (&["redis://a", "sentinel_password_file=x", "on_loss=deny"], "needs \"sentinel=\""),
    ];
    for (words, text) in cases {
        let error = parse(words).unwrap_err();
        assert!(error.contains(text), "{words:?}: {error}");
    }
}

#[test]
fn a_password_is_refused_and_never_shown() {
    for words in [
        ["redis://user:hunter2@a", "on_loss=deny"],
        ["redis://:hunter2@a", "on_loss=deny"],
        ["http://user:hunter2@a", "on_loss=deny"],
        ["redis:/user:hunter2@a", "on_loss=deny"],
        ["redis://a", "password=hunter2"],
    ] {
        let error = parse(&words).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(parse(&["redis://:hunter2@a"]).unwrap_err().contains("password_file="));
    assert!(parse(&["redis://a", "password=hunter2"]).unwrap_err().contains("password_file="));
}

#[test]
fn a_machine_without_a_usable_name_must_be_given_one() {
    assert!(Config::parse(["redis://a", "on_loss=deny"], "ä")
        .unwrap_err()
        .to_string()
        .contains("\"node=\""));
    let config = Config::parse(["redis://a", "on_loss=deny", "node=$hostname"], "web-1").unwrap();
    assert_eq!(config.node, "web-1");
}
