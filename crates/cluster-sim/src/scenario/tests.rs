use super::*;
use std::num::NonZeroU16;

/// One client that wants half as much again as its limit.
fn skewed(shares: &[f64]) -> Scenario {
    Scenario {
        shares: shares.to_vec(),
        clients: 1,
        room: 1,
        quota: Quota::parse("100r/s", None).unwrap(),
        rate: 150.0,
        skew: 0.0,
        burst: 1,
        seconds: 30,
        exchange_ms: 50,
        delay_us: 500,
        on_loss: OnLoss::Deny,
        cut: None,
        loses_data: false,
        seed: 1,
    }
}

fn usable(served: &Served) -> f64 {
    served.admitted as f64 / served.possible as f64
}

#[test]
fn nearly_all_of_a_limit_can_be_used_however_requests_are_spread() {
    for shares in [&[9.0, 1.0, 0.0][..], &[1.0, 1.0, 1.0], &[1.0]] {
        let findings = run(&skewed(shares)).unwrap();
        assert!(usable(&findings.all) >= 0.98, "{shares:?}: {findings:?}");
        assert_eq!((findings.exceeded, findings.full), (0, 0), "{shares:?}");
        // At most one call an exchange.
        assert!(findings.calls <= 31 * 20 * shares.len() as u64, "{findings:?}");
    }
}

#[test]
fn who_is_cut_off_gives_away_its_share_and_no_more() {
    let nodes = NonZeroU16::new(3).unwrap();
    let on_loss = OnLoss::Share { nodes };
    let findings =
        run(&Scenario { cut: Some((1, 8)), on_loss, ..skewed(&[1.0, 1.0, 1.0]) }).unwrap();
    // A third of the burst, and of the rate: the other two have all of both meanwhile.
    assert!((1..=34 + 8 * 34).contains(&findings.exceeded), "{findings:?}");
    let findings = run(&Scenario { cut: Some((3, 8)), on_loss, ..skewed(&[1.0, 1.0, 1.0]) });
    let findings = findings.unwrap();
    assert!(findings.exceeded <= 100, "what was leased: {findings:?}");
    assert!(findings.in_trouble.admitted > 500, "{findings:?}");
    let findings = run(&Scenario { cut: Some((3, 8)), ..skewed(&[1.0, 1.0, 1.0]) }).unwrap();
    assert!(findings.exceeded == 0 && findings.in_trouble.admitted < 500, "{findings:?}");
}
