use proptest::prelude::*;

use super::*;

fn specs() -> impl Strategy<Value = CodecSpec> {
    let scope = prop_oneof![Just(Scope::Dimension), Just(Scope::Global)];
    prop_oneof![
        (any::<u8>(), any::<bool>(), scope, any::<bool>())
            .prop_map(|(nbits, uniform, scope, brain)| CodecSpec::Scalar { nbits, uniform, scope, brain }),
        (0..5000_usize, any::<u8>(), any::<bool>()).prop_map(|(m, nbits, rotate)| CodecSpec::Product {
            m,
            nbits,
            rotate
        }),
        any::<u8>().prop_map(|bits| CodecSpec::Binary { bits }),
        (0..5000_usize).prop_map(|bytes| CodecSpec::Transform { bytes }),
    ]
}

proptest! {
    #[test]
    fn a_spec_survives_its_text(spec in specs()) {
        prop_assert_eq!(spec.to_string().parse(), Ok(spec));
    }

    #[test]
    fn a_head_holds_a_spec_that_fits_and_is_refused_otherwise(spec in specs(), dim in 1..70_000_usize) {
        let bytes = write_head(&spec, dim);
        match (read_head(&bytes), spec.check(dim)) {
            (Ok((read, found, rest)), Ok(())) => {
                prop_assert_eq!((read, found, rest.len()), (spec, dim, 0));
            }
            (Err(CodecError::Malformed(_)), fits) => prop_assert!(fits.is_err() || dim > 1 << 16),
            other => prop_assert!(false, "{:?}", other),
        }
        for end in 0..bytes.len() {
            prop_assert!(read_head(&bytes[..end]).is_err());
        }
    }
}

#[test]
fn texts_that_are_no_spec_are_refused() {
    for text in
        ["", "binary", "binary:", "binary:bits=x", "binary:bits=1,more=2", "product:nbits=8,m=4,rotate=true"]
    {
        assert!(text.parse::<CodecSpec>().is_err(), "{text}");
    }
}
