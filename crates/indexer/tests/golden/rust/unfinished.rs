fn whole() {}

impl Thing {
    fn before(&self) {}

    fn half(&self) {
        let x = ;
        self.
    }

    /// Still found.
    fn after(&self) -> u8 { 1 }
}

fn () {}

/// Without an end.
pub fn last() {
    match x {
