//! Merging patterns: the components of the type 1 relation, and the items made of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::component::Component;
use super::item::ViewItem;
use super::numbers::Slot;
use super::relation::Kind;
use super::semantic_view::SemanticView;

impl SemanticView {
    /// The patterns of the item whose first pattern is `head`, in ascending order of their ids.
    pub(super) fn members<'a>(&'a self, head: &'a Slot) -> &'a [Slot] {
        let component = self.patterns.get(*head).component.as_ref().map(|name| &self.components[name]);
        component.filter(|component| component.complete).map_or(std::slice::from_ref(head), |whole| &whole.members)
    }

    /// Removes the component and the items of a pattern, and adds its patterns to those that have to be placed again.
    pub(super) fn dissolve(&mut self, slot: Slot, unplaced: &mut BTreeSet<Slot>) {
        let name = self.patterns.get(slot).component.clone();
        let component = name.and_then(|name| self.components.remove(&name));
        if let Some(component) = &component {
            *self.counter_of(component.complete) -= 1;
        }
        for member in component.map_or(vec![slot], |component| component.members) {
            let held = self.patterns.get_mut(member);
            (held.component, held.head) = (None, member);
            self.items.remove(&held.id);
            unplaced.insert(member);
        }
    }

    /// Finds the components of patterns that are in none, and makes their items. `unplaced` has to include all patterns that
    /// type 1 connects with its members. O(their relations)
    pub(super) fn place(&mut self, unplaced: &BTreeSet<Slot>) {
        let mut seen = BTreeSet::new();
        for slot in unplaced {
            if seen.insert(*slot) {
                let members = self.connected(*slot);
                seen.extend(members.iter().copied());
                self.place_component(members);
            }
        }
    }

    /// The patterns that type 1 connects with this one, itself included, in ascending order of their ids.
    fn connected(&self, slot: Slot) -> Vec<Slot> {
        let (mut members, mut seen, mut next) = (vec![slot], BTreeSet::from([slot]), 0);
        while let Some(member) = members.get(next) {
            let relations = self.patterns.get(*member).relations.iter();
            let same_core = relations.filter(|relation| relation.kind == Kind::SameCore);
            let found: Vec<Slot> =
                same_core.map(|relation| relation.other).filter(|other| seen.insert(*other)).collect();
            members.extend(found);
            next += 1;
        }
        members.sort_unstable_by(|a, b| self.patterns.get(*a).id.cmp(&self.patterns.get(*b).id));
        members
    }

    fn place_component(&mut self, members: Vec<Slot>) {
        let [first, _, ..] = members.as_slice() else {
            return self.add_items(&members);
        };
        let (first, name) = (*first, Arc::clone(&self.patterns.get(*first).id));
        let same_core = |member: &Slot| {
            let relations = self.patterns.get(*member).relations.iter();
            relations.filter(|relation| relation.kind == Kind::SameCore).count()
        };
        let ends: usize = members.iter().map(same_core).sum();
        let complete = ends == members.len() * (members.len() - 1);
        for member in &members {
            let held = self.patterns.get_mut(*member);
            held.component = Some(Arc::clone(&name));
            held.head = if complete { first } else { *member };
        }
        if complete {
            self.add_item(&members);
        } else {
            self.add_items(&members);
        }
        *self.counter_of(complete) += 1;
        self.components.insert(name, Component { members, complete });
    }

    /// Adds an item for each of these patterns.
    fn add_items(&mut self, members: &[Slot]) {
        for member in members {
            self.add_item(&[*member]);
        }
    }

    /// Adds one item for all of these patterns.
    fn add_item(&mut self, members: &[Slot]) {
        let patterns: Vec<_> = members.iter().map(|member| &self.patterns.get(*member).base.pattern).collect();
        let name = Arc::clone(&self.patterns.get(members[0]).id);
        self.items.insert(name, ViewItem::of(&patterns));
    }

    fn counter_of(&mut self, complete: bool) -> &mut usize {
        if complete { &mut self.counts.merged } else { &mut self.counts.unresolved }
    }
}
