//! What is left when everything is quiet, and what didn't hold.

use super::*;

impl World<'_> {
    pub(super) fn end(mut self) -> Report {
        self.report.calls = self.servers.calls;
        self.report.lines = self.servers.lines;
        self.report.sums = self.bounds.iter().map(|bound| bound.admitted).collect();
        let mut broken = std::mem::take(&mut self.report.broken);
        for (limit, bound) in self.plan.limits.iter().zip(&self.bounds) {
            if let Some(exceeded) = bound.exceeded {
                broken.push(format!("{:?}: {exceeded:?}, {:?}", limit.grants, bound.allowance));
            }
        }
        for (node, bounds) in self.alone.iter().enumerate() {
            for (limit, bound) in self.plan.limits.iter().zip(bounds) {
                if let Some(exceeded) = bound.exceeded {
                    broken.push(format!("alone, node {node}, {:?}: {exceeded:?}", limit.grants));
                }
            }
        }
        for (node, place) in self.places.iter().enumerate() {
            let Some(alive) = &place.node else {
                broken.push(format!("node {node} isn't there"));
                continue;
            };
            for (index, limit) in self.plan.limits.iter().enumerate() {
                let held = alive.held(limit);
                // Where data were lost, so may have been that it was given back.
                let is_lossy =
                    self.plan.has(|fault| matches!(fault, Fault::FailOver | Fault::LoseAll));
                let leased = if is_lossy { 0 } else { self.leased(index, alive.incarnation()) };
                if held + leased > 0 {
                    broken.push(format!("node {node} still holds {held} of {:?}, and the store has leased {leased} to it", limit.grants));
                }
            }
        }
        if !self.waiting.is_empty() || !self.running.is_empty() {
            broken.push(format!(
                "{} requests still wait, and {} run",
                self.waiting.len(),
                self.running.len()
            ));
        }
        self.check_budgets(&mut broken);
        Report { broken, ..self.report }
    }

    fn leased(&self, limit: usize, incarnation: Option<Incarnation>) -> u64 {
        let ids = self.names.iter().filter(|(_, index)| **index == limit);
        let leased = |(id, _): (&StoreId, &usize)| {
            incarnation.map_or(0, |who| self.servers.leased(*id, who))
        };
        ids.map(leased).sum()
    }

    /// A budget is charged to the last micro-unit, whatever the network does: unless a node or the data died.
    fn check_budgets(&self, broken: &mut Vec<String>) {
        let is_lossy = |fault: &Fault| {
            matches!(
                fault,
                Fault::Crash(..)
                    | Fault::LoseAll
                    | Fault::FailOver
                    | Fault::Thread(_)
                    | Fault::ClockStep(_)
            )
        };
        if self.plan.has(is_lossy) || !matches!(self.plan.on_loss, OnLoss::Deny) {
            return;
        }
        for (id, limit) in &self.names {
            let Some(bound) = self.bounds.get(*limit) else { continue };
            let is_budget = matches!(
                self.plan.limits.get(*limit).map(|limit| limit.terms()),
                Some(Terms::Budget { .. })
            );
            let used = self.servers.used_and_leased(*id).map_or(0, |(used, _)| used);
            if is_budget && used != bound.admitted {
                broken
                    .push(format!("a budget is charged {used}, and {} were used", bound.admitted));
            }
        }
    }
}
