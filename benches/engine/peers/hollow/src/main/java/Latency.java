import com.netflix.hollow.api.consumer.HollowConsumer;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/** How long single look-ups take without refreshes, with one a second, and with refreshes back to back. */
final class Latency {
    private final HollowPeer.Turn turn;
    private final Workload workload;
    private final Consume consume;

    Latency(HollowPeer.Turn turn, Workload workload, Consume consume) {
        this.turn = turn;
        this.workload = workload;
        this.consume = consume;
    }

    /** Goes forth and back over one delta, which is what Hollow offers; it costs the same both ways. */
    void phases(List<Consume.Step> steps) throws Exception {
        int size = Math.min(1_000, workload.sizes()[workload.sizes().length - 1]);
        Consume.Step step = steps.stream().filter(one -> one.size() == size).findFirst().orElseThrow();
        HollowConsumer consumer = consume.consumer;
        consumer.triggerRefreshTo(step.from());
        consume.warmUp(step);
        long[] keys = workload.readKeys(0, 1 << 20);
        read(keys, turn.seconds);
        say("none", 0, read(keys, turn.seconds));
        for (String phase : new String[] {"1/s", "continuous"}) {
            AtomicBoolean stop = new AtomicBoolean();
            AtomicLong refreshes = new AtomicLong();
            Thread refresher = new Thread(() -> {
                while (!stop.get()) {
                    consumer.triggerRefreshTo(refreshes.getAndIncrement() % 2 == 0 ? step.to() : step.from());
                    if (phase.equals("1/s")) pause(stop);
                }
            });
            refresher.start();
            Histogram histogram = read(keys, turn.seconds);
            stop.set(true);
            refresher.join();
            Say.note("refreshes " + phase + ": " + refreshes.get() + " during " + histogram.count + " look-ups");
            say(phase, size, histogram);
        }
    }

    private static void pause(AtomicBoolean stop) {
        try {
            for (int tenth = 0; tenth < 10 && !stop.get(); tenth++) Thread.sleep(100);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private Histogram read(long[] keys, double seconds) {
        Histogram histogram = new Histogram();
        long end = System.nanoTime() + (long) (seconds * 1e9);
        for (int i = 0; ; i++) {
            long start = System.nanoTime();
            int ordinal = consume.index.getMatchingOrdinal(keys[i & (keys.length - 1)]);
            long done = System.nanoTime();
            Say.must(ordinal >= 0, "a movie during a refresh");
            histogram.add(done - start);
            if (done > end) return histogram;
        }
    }

    private static void say(String refreshes, int size, Histogram histogram) {
        String[] figures = {"lookup_p50", "lookup_p99", "lookup_p999", "lookup_max"};
        double[] shares = {0.5, 0.99, 0.999, 1};
        for (int i = 0; i < figures.length; i++) {
            Say say = Say.figure(figures[i]).refreshes(refreshes);
            (size > 0 ? say.changes(size) : say).value("ns", histogram.quantile(shares[i]));
        }
    }

    /** Counts by value, 128 steps per power of two: an error below 0.8 %. */
    private static final class Histogram {
        private static final int STEP_BITS = 7;
        private final long[] counts = new long[64 << STEP_BITS];
        private long count, max;

        void add(long value) {
            counts[place(Math.max(0, value))]++;
            count++;
            max = Math.max(max, value);
        }

        private static int place(long value) {
            if (value < 1 << STEP_BITS) return (int) value;
            int shift = 63 - Long.numberOfLeadingZeros(value) - STEP_BITS;
            return ((shift + 1) << STEP_BITS) + (int) ((value >>> shift) - (1 << STEP_BITS));
        }

        double quantile(double share) {
            if (share >= 1) return max;
            long wanted = (long) Math.ceil(share * count), seen = 0;
            for (int place = 0; place < counts.length; place++) {
                seen += counts[place];
                if (seen >= wanted) {
                    int power = place >> STEP_BITS, step = place & ((1 << STEP_BITS) - 1);
                    return power == 0 ? step : (double) ((1L << STEP_BITS) + step) * (1L << (power - 1));
                }
            }
            return max;
        }
    }
}
