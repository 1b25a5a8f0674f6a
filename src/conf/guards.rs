//! Guards: as they are declared, and all those that hold somewhere, put together.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use super::rules::Tier;
use super::settings::{Given, Settings};
use crate::keys::live::next_id;
use nginx::conf::{ConfError, Position};
use tollgate_core::guards::classifier::Classifier;
use tollgate_core::guards::{Action, Guard, InputGuard, Roles, Rule};
use tollgate_guard::detector::Family;
use tollgate_guard::settings::{Settings as Wishes, Wish};
use tollgate_guard::stream::StreamGuard;

/// `tollgate_guard`.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) input: Vec<Wish>,
    pub(crate) output: Vec<Wish>,
    /// What is done where parts of the system prompt come back.
    pub(crate) leak: Option<Action>,
    /// Those that are asked, and where they are declared.
    pub(crate) classifiers: Vec<(Classifier, Position)>,
    pub(crate) roles: Option<Roles>,
    pub(crate) place: Position,
    /// Somebody uses it.
    pub(super) is_used: Cell<bool>,
}

impl Declared {
    pub(crate) fn new(name: String, place: Position) -> Self {
        Self {
            name,
            input: Vec::new(),
            output: Vec::new(),
            leak: None,
            classifiers: Vec::new(),
            roles: None,
            place,
            is_used: Cell::new(false),
        }
    }
}

/// The guards that hold for a request.
#[derive(Debug)]
pub(crate) struct Guards {
    /// Those of requests, and what each of them is called.
    pub(crate) inputs: Box<[InputGuard]>,
    pub(crate) input_names: Box<[Box<str>]>,
    /// Those that are asked about requests, when nothing else is found that refuses them.
    pub(crate) classifiers: Box<[Rc<InputClassifier>]>,
    /// That of answers.
    pub(crate) output: Option<OutputGuard>,
}

/// A classifier of a guard.
#[derive(Debug)]
pub(crate) struct InputClassifier {
    /// What the guard is called.
    pub(crate) guard: Box<str>,
    pub(crate) classifier: Classifier,
    /// Whose texts it judges.
    pub(crate) roles: Roles,
    /// What is said of those that it refuses.
    pub(crate) rule: Rule,
    pub(crate) place: Position,
    /// Tells what it has said from what others have.
    pub(crate) id: u64,
    /// It gave no answer the last time, and that was said.
    pub(crate) is_failing: Cell<bool>,
}

impl InputClassifier {
    fn new(guard: &Declared, classifier: &Classifier, place: &Position) -> Self {
        let family = Family::Classifier;
        let rule = Rule {
            family,
            name: classifier.name.clone(),
            label: Box::default(),
            action: classifier.action,
        };
        Self {
            guard: guard.name.as_str().into(),
            classifier: classifier.clone(),
            roles: guard.roles.unwrap_or(Roles::ALL),
            rule,
            place: place.clone(),
            id: next_id(),
            is_failing: Cell::new(false),
        }
    }
}

/// What looks at answers.
#[derive(Debug)]
pub(crate) struct OutputGuard {
    /// What it is called.
    pub(crate) name: Box<str>,
    pub(crate) guard: Guard,
    pub(crate) stream: Arc<StreamGuard>,
    /// What is said of parts of the system prompt, if they are looked for.
    pub(crate) leak: Option<Rule>,
}

impl OutputGuard {
    /// The rule that findings name with this number.
    pub(crate) fn rule(&self, number: u16) -> Option<&Rule> {
        match self.guard.rules().get(usize::from(number)) {
            None if number == self.leak_number() => self.leak.as_ref(),
            rule => rule,
        }
    }

    /// That of leaks: it comes after those of the guard.
    pub(crate) fn leak_number(&self) -> u16 {
        u16::try_from(self.guard.rules().len()).unwrap_or(u16::MAX)
    }

    /// Whether anything is done about what is found, beside counting it.
    pub(crate) fn acts(&self) -> bool {
        self.guard.rules().iter().chain(&self.leak).any(|rule| rule.action > Action::Log)
    }
}

impl Guards {
    fn new(declared: &[Rc<Declared>]) -> Result<Self, ConfError> {
        let (mut inputs, mut input_names) = (Vec::new(), Vec::new());
        let (mut wishes, mut names, mut leak) = (Vec::new(), Vec::new(), None);
        let mut classifiers = Vec::new();
        for guard in declared {
            let asked = guard.classifiers.iter();
            classifiers.extend(asked.map(|(classifier, place)| {
                Rc::new(InputClassifier::new(guard, classifier, place))
            }));
            let refused = |problem: tollgate_guard::guard::Error| {
                ConfError::new(format!("{problem} {}", guard.place))
                    .of(&format!("tollgate_guard {}", guard.name))
            };
            if !guard.input.is_empty() {
                let settings = Wishes { wishes: guard.input.clone() };
                let roles = guard.roles.unwrap_or(Roles::ALL);
                inputs.push(InputGuard { guard: Guard::new(&settings).map_err(refused)?, roles });
                input_names.push(guard.name.as_str().into());
            }
            if !guard.output.is_empty() || guard.leak.is_some() {
                wishes.extend(guard.output.iter().cloned());
                leak = leak.max(guard.leak);
                names.push(guard.name.as_str());
            }
        }
        let output = match names.is_empty() {
            true => None,
            false => {
                let name = names.join("+");
                let refused = |problem: tollgate_guard::guard::Error| {
                    ConfError::new(problem.to_string()).of(&format!("tollgate_guard {name}"))
                };
                let guard = Guard::new(&Wishes { wishes }).map_err(refused)?;
                let stream = guard.stream().map_err(refused)?;
                let leak = leak.map(|action| Rule {
                    family: Family::Leak,
                    name: Family::Leak.name().into(),
                    label: "REMOVED".into(),
                    action,
                });
                Some(OutputGuard { name: name.into(), guard, stream, leak })
            }
        };
        Ok(Self {
            inputs: inputs.into(),
            input_names: input_names.into(),
            classifiers: classifiers.into(),
            output,
        })
    }
}

/// The guards of a location, for each tier.
#[derive(Debug, Default)]
pub(crate) struct GuardsOf {
    /// Of who is in no tier, or in one that names none.
    here: Option<Rc<Guards>>,
    /// Of the tiers that name some.
    tiers: Vec<(Rc<Tier>, Rc<Guards>)>,
}

impl GuardsOf {
    /// Those that hold for a request of this tier.
    #[inline]
    pub(crate) fn get(&self, tier: Option<&Rc<Tier>>) -> Option<&Rc<Guards>> {
        let of_tier = |tier: &Rc<Tier>| {
            self.tiers.iter().find(|(other, _)| Rc::ptr_eq(other, tier)).map(|(_, guards)| guards)
        };
        match self.tiers.is_empty() {
            true => self.here.as_ref(),
            false => tier.and_then(of_tier).or(self.here.as_ref()),
        }
    }

    /// All that hold for anybody.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Guards> {
        self.here.iter().chain(self.tiers.iter().map(|(_, guards)| guards)).map(|guards| &**guards)
    }

    /// Whether any hold.
    pub(crate) fn is_empty(&self) -> bool {
        self.here.is_none() && self.tiers.is_empty()
    }

    /// Those that a location and its tiers name.
    pub(super) fn resolve(
        settings: &Settings,
        tiers: &[Rc<Tier>],
        book: &mut Book,
    ) -> Result<Self, ConfError> {
        let mut here = Vec::new();
        if let Some(Given { value: names, place }) = &settings.guards {
            for name in names {
                here.push(book.find(name).ok_or_else(|| {
                    ConfError::new(format!(
                        "\"tollgate_guards {name}\" names no guard; declare it with \"tollgate_guard {name} \
                         {{ ... }}\" in the http block {place}"
                    ))
                })?);
            }
        }
        let mut of_tiers = Vec::new();
        for tier in tiers.iter().filter(|tier| !tier.guards.is_empty()) {
            let mut all = here.clone();
            for name in &tier.guards {
                let declared = book.find(name).ok_or_else(|| {
                    ConfError::new(format!(
                        "\"guards {name}\" names no guard; declare it with \"tollgate_guard {name} {{ ... }}\" in \
                         the http block {}",
                        tier.place
                    ))
                    .of(&format!("tollgate_tier {}", tier.name))
                })?;
                if !all.iter().any(|other| Rc::ptr_eq(other, &declared)) {
                    all.push(declared);
                }
            }
            of_tiers.push((Rc::clone(tier), book.combine(all)?));
        }
        let here = match here.is_empty() {
            true => None,
            false => Some(book.combine(here)?),
        };
        Ok(Self { here, tiers: of_tiers })
    }
}

/// All guards that are declared, and those that were put together of them: most locations share theirs.
#[derive(Debug, Default)]
pub(crate) struct Book {
    declared: Vec<Rc<Declared>>,
    /// The one whose block is being read.
    pub(crate) draft: Option<Declared>,
    combined: Vec<(Vec<Rc<Declared>>, Rc<Guards>)>,
}

impl Book {
    /// Whether there is one of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Adds one.
    pub(crate) fn add(&mut self, guard: Declared) {
        self.declared.push(Rc::new(guard));
    }

    fn find(&self, name: &str) -> Option<Rc<Declared>> {
        self.declared.iter().find(|guard| guard.name == name).map(Rc::clone)
    }

    /// These guards, put together.
    fn combine(&mut self, declared: Vec<Rc<Declared>>) -> Result<Rc<Guards>, ConfError> {
        let is_same = |one: &[Rc<Declared>]| {
            one.len() == declared.len() && one.iter().zip(&declared).all(|(a, b)| Rc::ptr_eq(a, b))
        };
        let known = self.combined.iter().find(|(one, _)| is_same(one));
        if let Some((_, guards)) = known {
            return Ok(Rc::clone(guards));
        }
        for guard in &declared {
            guard.is_used.set(true);
        }
        let guards = Rc::new(Guards::new(&declared)?);
        self.combined.push((declared, Rc::clone(&guards)));
        Ok(guards)
    }

    /// Guards that nobody uses.
    pub(super) fn unused(&self) -> impl Iterator<Item = &Declared> {
        self.declared.iter().map(|guard| &**guard).filter(|guard| !guard.is_used.get())
    }
}
