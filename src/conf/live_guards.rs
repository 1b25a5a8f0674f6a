//! Guards whose files change: what requests get is made anew when one has.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::guard_files::{GuardFile, RulesFile, TermsFile};
use super::guards::{Guards, OutputGuard};
use tollgate_core::guards::InputGuard;
use tollgate_guard::matcher::terms::Terms;

/// Guards, as they are now.
#[derive(Debug)]
pub(crate) struct LiveGuards {
    /// As they were when the configuration was read.
    first: Rc<Guards>,
    /// That of injections, if any are looked for.
    rules: Option<GuardFile<RulesFile>>,
    /// Those of each guard of requests.
    inputs: Box<[Vec<GuardFile<TermsFile>>]>,
    /// Those of the guard of answers.
    output: Vec<GuardFile<TermsFile>>,
    /// What requests get, and the numbers of what is in it of the files.
    now: RefCell<(Vec<Option<u64>>, Rc<Guards>)>,
}

impl LiveGuards {
    pub(super) fn new(
        first: Guards,
        rules: Option<GuardFile<RulesFile>>,
        inputs: Vec<Vec<GuardFile<TermsFile>>>,
        output: Vec<GuardFile<TermsFile>>,
    ) -> Self {
        let first = Rc::new(first);
        let now = RefCell::new((Vec::new(), Rc::clone(&first)));
        Self { first, rules, inputs: inputs.into(), output, now }
    }

    /// What a request gets that begins now, and keeps to its end.
    #[inline]
    pub(crate) fn now(&self) -> Rc<Guards> {
        match self.has_files() {
            false => Rc::clone(&self.first),
            true => self.follow(),
        }
    }

    #[inline]
    fn has_files(&self) -> bool {
        self.rules.is_some()
            || !self.output.is_empty()
            || self.inputs.iter().any(|of| !of.is_empty())
    }

    /// The numbers of what is in force of each file.
    fn ids(&self) -> impl Iterator<Item = Option<u64>> + '_ {
        let lists = self.inputs.iter().flatten().chain(&self.output);
        let rules = self.rules.iter().map(|file| file.live.id());
        rules.chain(lists.map(|file| file.live.id()))
    }

    fn follow(&self) -> Rc<Guards> {
        let mut now = self.now.borrow_mut();
        if !self.ids().eq(now.0.iter().copied()) {
            *now = (self.ids().collect(), Rc::new(self.make()));
        }
        Rc::clone(&now.1)
    }

    /// The guards with what is in force. What this worker can't have, is as it was when it began.
    fn make(&self) -> Guards {
        let Guards { inputs, input_names, classifiers, judges, output } = &*self.first;
        let rules = self.rules.as_ref().and_then(GuardFile::now);
        let rules = rules.as_ref();
        let with = |input: &InputGuard, files: &Vec<GuardFile<TermsFile>>| InputGuard {
            guard: input.guard.with(rules, &lists(files)),
            roles: input.roles,
        };
        let inputs = inputs.iter().zip(&self.inputs).map(|(input, files)| with(input, files));
        let output = output.as_ref().map(|output| output.with(&lists(&self.output)));
        Guards {
            inputs: inputs.collect(),
            input_names: input_names.clone(),
            classifiers: classifiers.clone(),
            judges: judges.clone(),
            output,
        }
    }

    /// What is as the configuration says, whatever the files hold.
    pub(crate) fn declared(&self) -> &Guards {
        &self.first
    }
}

/// What lists hold now. One that this worker can't have ends the row: those behind it stay as they were, too.
fn lists(files: &[GuardFile<TermsFile>]) -> Vec<Arc<Terms>> {
    files.iter().map_while(GuardFile::now).collect()
}

impl OutputGuard {
    /// The same with these lists.
    fn with(&self, lists: &[Arc<Terms>]) -> Self {
        let guard = self.guard.with(None, lists);
        // That of before has one, and so has what is made of it.
        let stream = guard.stream().unwrap_or_else(|_| Arc::clone(&self.stream));
        Self { name: self.name.clone(), guard, stream, leak: self.leak.clone() }
    }
}
