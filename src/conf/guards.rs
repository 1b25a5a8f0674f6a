//! Guards: as they are declared, and all those that hold somewhere, put together.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::following::Following;
use super::guard_files::{GuardFile, RulesFile, TermsFile};
use super::judge::Judge;
use super::live_guards::LiveGuards;
use super::rules::Tier;
use super::settings::{Given, Settings};
use crate::keys::key_file::KeyFile;
use crate::keys::live::{Follow, Source};
use nginx::conf::{ConfContext, ConfError, Position};
use tollgate_core::file_rights::Purpose;
use tollgate_core::guards::classifier::{Classifier, Side};
use tollgate_core::guards::{Action, Guard, InputGuard, Roles, Rule};
use tollgate_core::overview::guards::{look, looks, Guard as View};
use tollgate_guard::detector::Family;
use tollgate_guard::injection::Rules;
use tollgate_guard::settings::{Settings as Wishes, Wish};
use tollgate_guard::stream::StreamGuard;

/// How many of those who use a guard are told.
const MOST_USES: usize = 20;

/// What names a file of rules.
const RULES: &str = "tollgate_guard_rules";

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
    /// The lists among them, in their order.
    pub(crate) input_lists: Vec<GuardFile<TermsFile>>,
    pub(crate) output_lists: Vec<GuardFile<TermsFile>>,
    /// What is looked for.
    pub(crate) input_rules: Vec<Rule>,
    pub(crate) output_rules: Vec<Rule>,
    pub(crate) place: Position,
    /// Somebody uses it.
    pub(super) is_used: Cell<bool>,
    /// Who does.
    used_by: RefCell<Vec<String>>,
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
            input_lists: Vec::new(),
            output_lists: Vec::new(),
            input_rules: Vec::new(),
            output_rules: Vec::new(),
            place,
            is_used: Cell::new(false),
            used_by: RefCell::default(),
        }
    }

    /// Somebody uses it.
    fn note_use(&self, who: String) {
        let mut used_by = self.used_by.borrow_mut();
        if used_by.len() < MOST_USES && !used_by.contains(&who) {
            used_by.push(who);
        }
    }

    /// As it is shown, with the version of the rules for injections.
    fn view(&self, version: Option<&str>) -> View {
        let mut output = looks(&self.output_rules, None);
        output.extend(self.leak.map(|action| look(Family::Leak.name(), action)));
        let mut input = looks(&self.input_rules, version);
        for (classifier, _) in &self.classifiers {
            let name = format!("{}.{}", Family::Classifier.name(), classifier.name);
            for side in &classifier.sides {
                let looks = match side {
                    Side::Request => &mut input,
                    Side::Answer => &mut output,
                };
                looks.push(look(&name, classifier.action));
            }
        }
        let places = self.used_by.borrow().clone();
        View { guard: self.name.clone(), places, input, output }
    }
}

/// The guards that hold for a request.
#[derive(Debug)]
pub(crate) struct Guards {
    /// Those of requests, and what each of them is called.
    pub(crate) inputs: Box<[InputGuard]>,
    pub(crate) input_names: Box<[Box<str>]>,
    /// Those that are asked about requests, when nothing else is found that refuses them.
    pub(crate) classifiers: Box<[Rc<Judge>]>,
    /// Those that are asked about answers.
    pub(crate) judges: Box<[Rc<Judge>]>,
    /// That of answers.
    pub(crate) output: Option<OutputGuard>,
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
        let (mut classifiers, mut judges) = (Vec::new(), Vec::new());
        for guard in declared {
            for (classifier, place) in &guard.classifiers {
                for side in &classifier.sides {
                    let judge = Rc::new(Judge::new(guard, classifier, *side, place));
                    match side {
                        Side::Request => classifiers.push(judge),
                        Side::Answer => judges.push(judge),
                    }
                }
            }
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
            judges: judges.into(),
            output,
        })
    }
}

/// The guards of a location, for each tier.
#[derive(Debug, Default)]
pub(crate) struct GuardsOf {
    /// Of who is in no tier, or in one that names none.
    here: Option<Rc<LiveGuards>>,
    /// Of the tiers that name some.
    tiers: Vec<(Rc<Tier>, Rc<LiveGuards>)>,
}

impl GuardsOf {
    /// Those that hold for a request of this tier that begins now.
    #[inline]
    pub(crate) fn get(&self, tier: Option<&Rc<Tier>>) -> Option<Rc<Guards>> {
        self.of(tier).map(|guards| guards.now())
    }

    /// The same as they are declared, whatever their files hold.
    pub(crate) fn declared(&self, tier: Option<&Rc<Tier>>) -> Option<&Guards> {
        self.of(tier).map(|guards| guards.declared())
    }

    #[inline]
    fn of(&self, tier: Option<&Rc<Tier>>) -> Option<&Rc<LiveGuards>> {
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
        let of_tiers = self.tiers.iter().map(|(_, guards)| guards);
        self.here.iter().chain(of_tiers).map(|guards| guards.declared())
    }

    /// Whether any hold.
    pub(crate) fn is_empty(&self) -> bool {
        self.here.is_none() && self.tiers.is_empty()
    }

    /// Those that a location and its tiers name.
    pub(super) fn resolve(
        settings: &Settings,
        tiers: &[Rc<Tier>],
        (book, following): (&mut Book, &mut Following),
    ) -> Result<Self, ConfError> {
        let mut here = Vec::new();
        if let Some(Given { value: names, place }) = &settings.guards {
            for name in names {
                let declared = book.find(name).ok_or_else(|| {
                    ConfError::new(format!(
                        "\"tollgate_guards {name}\" names no guard; declare it with \"tollgate_guard {name} \
                         {{ ... }}\" in the http block {place}"
                    ))
                })?;
                declared.note_use(place.to_string());
                here.push(declared);
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
                declared.note_use(format!("tier {}", tier.name));
                if !all.iter().any(|other| Rc::ptr_eq(other, &declared)) {
                    all.push(declared);
                }
            }
            of_tiers.push((Rc::clone(tier), book.combine(all, following)?));
        }
        let here = match here.is_empty() {
            true => None,
            false => Some(book.combine(here, following)?),
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
    /// `tollgate_guard_rules`
    pub(crate) rules: Option<GuardFile<RulesFile>>,
    /// The lists, each once.
    lists: Vec<GuardFile<TermsFile>>,
    /// The files that are followed, and what names each.
    followed: Vec<(&'static str, String)>,
    combined: Vec<(Vec<Rc<Declared>>, Rc<LiveGuards>)>,
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

    /// The list in this file.
    pub(crate) fn list(
        &mut self,
        cx: &ConfContext<'_>,
        path: String,
    ) -> Result<GuardFile<TermsFile>, ConfError> {
        if let Some(known) = self.lists.iter().find(|list| list.path == path) {
            return Ok(known.clone());
        }
        let list = GuardFile::terms(cx, path)?;
        self.lists.push(list.clone());
        Ok(list)
    }

    fn find(&self, name: &str) -> Option<Rc<Declared>> {
        self.declared.iter().find(|guard| guard.name == name).map(Rc::clone)
    }

    /// These guards, put together.
    fn combine(
        &mut self,
        declared: Vec<Rc<Declared>>,
        following: &mut Following,
    ) -> Result<Rc<LiveGuards>, ConfError> {
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
        let mut first = Guards::new(&declared)?;
        let scores = first.inputs.iter().any(|input| input.guard.injection_rules().is_some());
        let rules = self.rules.clone().filter(|_| scores);
        if let Some(now) = rules.as_ref().and_then(GuardFile::now) {
            for input in &mut first.inputs {
                input.guard = input.guard.with(Some(&now), &[]);
            }
        }
        let looking = declared.iter().filter(|guard| !guard.input.is_empty());
        let inputs: Vec<_> = looking.map(|guard| guard.input_lists.clone()).collect();
        let output = declared.iter().flat_map(|guard| guard.output_lists.iter().cloned()).collect();
        for file in inputs.iter().flatten().chain(&output) {
            self.follow("list", file, following);
        }
        if let Some(file) = &rules {
            self.follow(RULES, file, following);
        }
        let guards = Rc::new(LiveGuards::new(first, rules, inputs, output));
        self.combined.push((declared, Rc::clone(&guards)));
        Ok(guards)
    }

    /// Has a file watched, once.
    fn follow<S: Source>(
        &mut self,
        directive: &'static str,
        file: &GuardFile<S>,
        following: &mut Following,
    ) {
        let known = (directive, file.path.clone());
        if self.followed.contains(&known) {
            return;
        }
        self.followed.push(known);
        let looked_at = file.live.looked_at();
        let files = looked_at
            .iter()
            .map(|path| KeyFile::new(directive, path, &file.place, Purpose::Guards));
        following.add(Rc::clone(&file.live) as Rc<dyn Follow>, files.collect());
    }

    /// Whether what `tollgate_guard_rules` says is of no use to anybody.
    pub(super) fn has_idle_rules(&self) -> bool {
        self.rules.is_some() && !self.followed.iter().any(|(directive, _)| *directive == RULES)
    }

    /// Those that somebody uses, as they are shown.
    pub(crate) fn views(&self) -> Vec<View> {
        let own = self.rules.as_ref().filter(|_| !self.has_idle_rules()).and_then(GuardFile::now);
        let rules = own.or_else(|| Rules::shipped().ok().map(Arc::clone));
        let version = rules.as_ref().map(|rules| rules.version());
        let used = self.declared.iter().filter(|guard| guard.is_used.get());
        used.map(|guard| guard.view(version)).collect()
    }

    /// Guards that nobody uses.
    pub(super) fn unused(&self) -> impl Iterator<Item = &Declared> {
        self.declared.iter().map(|guard| &**guard).filter(|guard| !guard.is_used.get())
    }
}
