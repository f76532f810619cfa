//! The one line that a rule has where a bug can be planted.

/// Lets a bug from `mutant.rs` stand in for the code around it, if that bug is planted.
///
/// `plant!(rule(argument, ...))` returns what the bug returns. `plant!(let name = rule(argument, ...))` puts what the bug
/// makes of a value in its place. Outside of tests neither leaves any code behind.
#[cfg(any(test, feature = "mutants"))]
macro_rules! plant {
    (let $name:ident = $($bug:tt)*) => {
        let $name = $crate::mutant::$($bug)*;
    };
    ($($bug:tt)*) => {
        if let Some(wrong) = $crate::mutant::$($bug)* {
            return wrong;
        }
    };
}

#[cfg(not(any(test, feature = "mutants")))]
macro_rules! plant {
    ($($bug:tt)*) => {};
}
