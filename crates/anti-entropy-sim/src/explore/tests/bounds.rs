//! Bounds are checked by name.

use std::ops::ControlFlow;

use crate::explore::{ExploreError, all_of, deep, standard};

#[test]
fn bounds_out_of_range_are_refused_by_name() {
    let refused = [
        ([1, 1, 1, 1, 0, 0], "replicas"),
        ([4, 1, 1, 1, 0, 0], "replicas"),
        ([2, 0, 1, 1, 0, 0], "keys"),
        ([2, 1, 1, 4, 0, 0], "sessions"),
        ([2, 1, 1, 1, 0, 3], "duplicates"),
    ];
    for (numbers, field) in refused {
        let explored = all_of(&[numbers])[0].explore(&mut |_| ControlFlow::Continue(()));
        assert!(matches!(explored, Err(ExploreError::Config(error)) if error.field == field));
    }
    for bounds in standard().into_iter().chain(deep()) {
        assert_eq!(bounds.validate(), Ok(()));
    }
}
