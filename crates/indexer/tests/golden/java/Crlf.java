/** Docs. */
@A
class C {

    /**
     * Of m.
     */
    @B
    void m() {
    }
}
