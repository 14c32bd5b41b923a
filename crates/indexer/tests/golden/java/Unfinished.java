class Whole {
    void before() {}

    int half(int a) {
        int b = ;
        this.b = ;
    }

    /** Still found. */
    void after() { return; }

}

/** Without an end. */
class Last {
    void open() {
        if (
