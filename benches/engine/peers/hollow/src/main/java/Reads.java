import com.netflix.hollow.core.index.HollowHashIndex;
import com.netflix.hollow.core.index.HollowHashIndexResult;
import com.netflix.hollow.core.index.HollowPrimaryKeyIndex;
import com.netflix.hollow.core.read.engine.HollowReadStateEngine;
import com.netflix.hollow.core.read.iterator.HollowOrdinalIterator;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Reads on one thread and two: nanoseconds per operation and thread. */
final class Reads {
    private static final int WARM_PASSES = 5;
    /** Keeps results from being optimised away. */
    static volatile long sink;

    private final Workload workload;
    private final HollowPrimaryKeyIndex index;
    private final View view;
    private final int passes;

    Reads(Workload workload, HollowPrimaryKeyIndex index, View view, int passes) {
        this.workload = workload;
        this.index = index;
        this.view = view;
        this.passes = passes;
    }

    interface Operation {
        long run(long[] keys);
    }

    void byKey() throws Exception {
        Operation lookup = keys -> {
            long found = 0;
            for (long key : keys) if (index.getMatchingOrdinal(key) >= 0) found++;
            return found;
        };
        measure("lookup_hit", 1 << 20, 0, lookup, keys -> keys.length);
        measure("lookup_miss", 1 << 20, workload.records, lookup, keys -> 0);
        measure("lookup_3_fields", 1 << 19, 0, keys -> {
            long sum = 0;
            for (long key : keys) {
                int ordinal = index.getMatchingOrdinal(key);
                String title = view.title(ordinal);
                sum += title.length() + title.charAt(0) + view.movie.readInt(ordinal, view.year) + (long) view.movie.readFloat(ordinal, view.rating);
            }
            return sum;
        }, keys -> {
            long sum = 0;
            for (long key : keys) {
                int id = (int) key;
                sum += workload.titleSums[id] + workload.years[id] + (long) Workload.rating(workload.ratingIntegers[id]);
            }
            return sum;
        });
        measure("cast_walk", 1 << 18, 0, keys -> {
            long sum = 0;
            for (long key : keys) {
                int list = view.movie.readOrdinal(index.getMatchingOrdinal(key), view.cast);
                int size = view.castList.size(list);
                for (int j = 0; j < size; j++) {
                    String name = view.actorName(view.castList.getElementOrdinal(list, j));
                    sum += name.length() + name.charAt(0);
                }
            }
            return sum;
        }, keys -> {
            long sum = 0;
            for (long key : keys) sum += workload.castSums[(int) key];
            return sum;
        });
        fullScan();
    }

    private void fullScan() throws Exception {
        double expected = 0;
        for (int integer : workload.ratingIntegers) expected += Workload.rating(integer);
        double wanted = expected;
        Operation scan = keys -> {
            BitSet live = view.movie.getPopulatedOrdinals();
            double sum = 0;
            for (int o = live.nextSetBit(0); o >= 0; o = live.nextSetBit(o + 1)) sum += view.movie.readFloat(o, view.rating);
            return Math.abs(sum - wanted) <= wanted * 1e-9 ? 1 : 0;
        };
        whole("full_scan", scan, 1);
    }

    void byCountry(HollowReadStateEngine engine) throws Exception {
        HollowHashIndex countries = new HollowHashIndex(engine, "Movie", "", "country.value");
        measure("country_find", 1 << 19, 0, keys -> {
            long sum = 0;
            for (long key : keys) {
                HollowHashIndexResult found = countries.findMatches(Workload.COUNTRY[(int) (key % Workload.COUNTRIES)]);
                if (found != null) sum += found.numResults();
            }
            return sum;
        }, keys -> {
            long sum = 0;
            for (long key : keys) sum += workload.perCountry[(int) (key % Workload.COUNTRIES)];
            return sum;
        });
        whole("country_iterate", keys -> {
            long found = 0, handles = 0;
            for (String country : Workload.COUNTRY) {
                HollowHashIndexResult result = countries.findMatches(country);
                if (result == null) continue;
                HollowOrdinalIterator ordinals = result.iterator();
                for (int o = ordinals.next(); o != HollowOrdinalIterator.NO_MORE_ORDINALS; o = ordinals.next()) {
                    handles += o;
                    found++;
                }
            }
            sink += handles;
            return found;
        }, workload.records);
    }

    private void measure(String figure, int count, long offset, Operation operation, Operation expected) throws Exception {
        long[][] keys = {workload.readKeys(0, count), workload.readKeys(1, count)};
        for (long[] own : keys) for (int i = 0; i < count; i++) own[i] += offset;
        long[] sums = {expected.run(keys[0]), expected.run(keys[1])};
        for (int threads = 1; threads <= 2; threads++) {
            Say.figure(figure).threads(threads).value("ns", pass(threads, keys, operation, sums) * 1e9 / count);
        }
    }

    private void whole(String figure, Operation operation, long expected) throws Exception {
        for (int threads = 1; threads <= 2; threads++) {
            double seconds = pass(threads, new long[2][], operation, new long[] {expected, expected});
            Say.figure(figure).threads(threads).value("ns", seconds * 1e9 / workload.records);
        }
    }

    /** The median pass in seconds, each as long as its slowest thread. */
    private double pass(int threads, long[][] keys, Operation operation, long[] sums) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(threads);
        List<Double> times = new ArrayList<>();
        for (int pass = -WARM_PASSES; pass < passes; pass++) {
            CyclicBarrier barrier = new CyclicBarrier(threads);
            List<Future<Double>> readers = new ArrayList<>();
            for (int t = 0; t < threads; t++) {
                int thread = t;
                readers.add(pool.submit(() -> {
                    barrier.await();
                    long start = System.nanoTime();
                    long sum = operation.run(keys[thread]);
                    double seconds = Say.seconds(start);
                    Say.must(sum == sums[thread], "the sum " + sum + ", not " + sums[thread]);
                    return seconds;
                }));
            }
            double slowest = 0;
            for (Future<Double> reader : readers) slowest = Math.max(slowest, reader.get());
            if (pass >= 0) times.add(slowest);
        }
        pool.shutdown();
        return Say.median(times);
    }
}
