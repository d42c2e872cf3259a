//! Any bytes are an .ics file: items lie in it, and each can be converted.
#![no_main]
use libfuzzer_sys::fuzz_target;
use vandelay::format::{ics, jscal};

fuzz_target!(|bytes: &[u8]| {
    for item in ics::split(bytes).items {
        let own: Vec<u8> = item.ranges.iter().flat_map(|range| &bytes[range.start as usize..range.end as usize]).copied().collect();
        assert!(jscal::to_jscalendar(&own, &item.uid, item.data_type).data.is_object());
    }
    let _ = ics::Merger::default().parts(bytes);
});
