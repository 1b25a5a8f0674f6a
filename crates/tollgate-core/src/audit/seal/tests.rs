use super::simulation::{Dice, Machine};
use super::*;

fn log(seed: u64, steps: usize, is_crashing: bool) -> Machine {
    let mut machine = Machine::new(seed);
    machine.is_crashing = is_crashing;
    (0..steps).for_each(|_| machine.step());
    machine
}

fn clean(seed: u64, is_crashing: bool) {
    let machine = log(seed, 100 + usize::try_from(seed % 300).unwrap(), is_crashing);
    let report = machine.verify(&machine.files, &[]);
    for f in &report.findings { eprintln!("{} {seed}: {f:?}", if is_crashing {"C"} else {"N"}); }
}

#[test]
fn logs_that_nobody_touched_are_not_suspected() {
    (0..1000).for_each(|seed| clean(seed, false));
    panic!();
}

#[test]
fn nor_are_those_of_machines_that_crashed() {
    (0..300).for_each(|seed| clean(seed, true));
    panic!();
}
#[test]
fn dump() {
    for (is, seeds) in [(false, &[461, 584, 592, 602, 690, 725, 414, 744, 750, 790, 844, 963][..]), (true, &[126, 219, 243, 269])] { for &seed in seeds {
    let machine = log(seed, 100 + usize::try_from(seed % 300).unwrap(), is);
    let d = format!("/tmp/seals/{}{seed}", if is {"C"} else {"N"});
    std::fs::create_dir_all(&d).unwrap();
    for (i, f) in machine.files.iter().enumerate() { std::fs::write(format!("{d}/{i:02}"), f).unwrap(); }
    } }
}
