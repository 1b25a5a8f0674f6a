use super::*;

const CALM: Verdict = Verdict { is_refused: false, score: Some(3) };
const WILD: Verdict = Verdict { is_refused: true, score: None };

fn asker(client: &str) -> Asker<'_> {
    Asker { classifier: 1, server: 1, client }
}

#[test]
fn verdicts_are_remembered_for_their_time() {
    let mut verdicts = Verdicts::new(64, [7; 16]);
    let (one, other) =
        (verdicts.digest(asker("acme"), "one"), verdicts.digest(asker("acme"), "other"));
    assert_eq!(verdicts.get(one, 0), None);
    verdicts.put(one, CALM, 1000, 500);
    verdicts.put(other, WILD, 1000, 500);
    assert_eq!((verdicts.get(one, 1499), verdicts.get(other, 1499)), (Some(CALM), Some(WILD)));
    assert_eq!(verdicts.get(one, 1500), None);
    // The later one counts.
    verdicts.put(one, WILD, 1200, 500);
    assert_eq!(verdicts.get(one, 1600), Some(WILD));
    verdicts.put(one, CALM, 1200, 0);
    assert_eq!(verdicts.get(one, 1600), Some(WILD));
}

#[test]
fn nobody_learns_what_another_one_has_said() {
    let verdicts = Verdicts::new(64, [7; 16]);
    let of =
        |classifier, client, text| verdicts.digest(Asker { classifier, server: 1, client }, text);
    let one = of(1, "acme", "text");
    assert!(one == of(1, "acme", "text"));
    for other in [of(2, "acme", "text"), of(1, "zenith", "text"), of(1, "acm", "etext")] {
        assert!(one != other);
    }
    let elsewhere = Asker { classifier: 1, server: 2, client: "acme" };
    assert!(one != verdicts.digest(elsewhere, "text"));
    assert!(one != Verdicts::new(64, [8; 16]).digest(asker("acme"), "text"));
}

#[test]
fn a_full_set_forgets_what_is_over_soonest() {
    let mut verdicts = Verdicts::new(8, [7; 16]);
    let digests: Vec<_> = (0..9).map(|n| verdicts.digest(asker("acme"), &n.to_string())).collect();
    for (n, digest) in (0_u64..).zip(&digests) {
        verdicts.put(*digest, CALM, n, 1000);
    }
    let known: Vec<_> = digests.iter().map(|digest| verdicts.get(*digest, 900).is_some()).collect();
    assert_eq!(known, [false, true, true, true, true, true, true, true, true]);
}

#[test]
fn no_text_is_kept() {
    let verdicts = Verdicts::new(64, [7; 16]);
    assert_eq!(format!("{verdicts:?}"), "Verdicts { sets: 8, .. }");
    assert!(size_of::<Entry>() <= 32);
}
