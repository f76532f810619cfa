//! The search for neighbours: on any number of threads, and wherever the weight of an embedding lies.

use std::num::NonZeroUsize;

use anti_entropy_engram::view::{SemanticView, ViewConfig};

use crate::common::{pattern, semantic, space};
use crate::reference::assert_defined;
use crate::{Set, assert_same, changed, set};

/// Patterns around a few directions, most of whose weight lies in one stretch of the components: at the beginning, in the
/// middle, at the end, or everywhere.
fn patterns(count: usize, dimension: usize) -> Set {
    let mut random = fastrand::Rng::with_seed(3);
    let topics: Vec<Vec<f32>> = (0..9).map(|_| (0..dimension).map(|_| random.f32() - 0.5).collect()).collect();
    set((0..count).map(|number| {
        let (topic, stretch) = (&topics[number % 9], number % 5);
        let noise = random.f32() * 1.2;
        let component = |(i, component): (usize, &f32)| {
            let weight = if stretch == 4 || i * 4 / dimension == stretch { 1.0 } else { 0.05 };
            weight * (component + noise * (random.f32() - 0.5))
        };
        let embedding: Vec<f32> = topic.iter().enumerate().map(component).collect();
        let episode = format!("e{}", number % 40);
        pattern("n", &semantic(&format!("p{number:04}"), &embedding, &[&episode], random.f32()))
    }))
}

fn view_on(threads: usize, dimension: usize, set: &Set) -> SemanticView {
    let config = ViewConfig::default().with(|config| config.search_threads = NonZeroUsize::new(threads).unwrap());
    let mut view = SemanticView::new(space(dimension), config).unwrap();
    view.apply(changed(set.iter().map(|(id, siblings)| (id, Some(siblings))))).unwrap();
    view
}

#[test]
fn any_number_of_threads_finds_the_same() {
    // More than one wave of blocks for each number of threads but the last.
    let set = patterns(700, 12);
    let alone = view_on(1, 12, &set);
    assert!(alone.counts().type2 > 1000, "{:?}", alone.counts());
    for threads in [2, 3, 64] {
        assert_same(&alone, &view_on(threads, 12, &set));
    }
}

#[test]
fn none_is_missed_wherever_the_weight_lies() {
    for dimension in [1, 7, 8, 9, 31, 64, 100] {
        let set = patterns(90, dimension);
        assert_defined(&view_on(2, dimension, &set), &space(dimension), &set);
    }
}
