/*
 * Licensed to nobody under no license.
 */
/* Says something. */

// About the file.
package a.b.c;

import java.util.*;

/**
 * A class.
 */
// And a line.
@SuppressWarnings({"unchecked", "raw"})
@Deprecated
public abstract class Awkward<T extends Comparable<T>> extends Base<T> implements Runnable, A.B {
    /** A field. */
    private static final int FIELD = 1; // trailing
    static { class InStatic { void m() {} } }

    /** Makes one. */
    public Awkward() { this(1); }
    @Inject Awkward(int a) { super(a); }

    /** Runs. */
    @Override
    public void run() {
        Runnable r = new Runnable() {
            /** Anonymous. */
            @Override public void run() { }
        };
        class Local { int local() { return 1; } }
        Function<A, B> f = a -> { record InLambda(int x) {} return null; };
    }

    @Nullable
    // Between.
    <U> U generic(final List<? super U> list, int... rest) throws IOException, E { return null; }

    @Test void onlyAnnotated() {}
    abstract int overloaded(int a);
    abstract int overloaded(String a);
    public @Nonnull native String mixed();

    /** An enum. */
    enum Kind implements Supplier<String> {
        /** A constant. */
        ONE,
        /** With a body. */
        TWO(2) { @Override public String get() { return "two"; } };

        Kind(int... a) {}
        public String get() { return ""; }
    }

    /** A record. */
    public record Range<N>(int low, int high) implements Cloneable {
        /** Compact. */
        public Range { if (low > high) throw new Error(); }
        static int zero() { return 0; }
    }

    interface Inner { int CONSTANT = 1; void a(); default int b() { return 1; } class Deep { void c() {} } }
}

/** An annotation. */
@Retention(RUNTIME)
@interface Marker {
    /** Its value. */
    String value() default "";
}

sealed interface Größe permits Ä, Ö {}
final class Ä implements Größe { void größe() { } }

// Too far away.

non-sealed class Ö implements Größe { /** Same line. */ void m() {} }
