import com.netflix.hollow.core.write.objectmapper.HollowInline;
import com.netflix.hollow.core.write.objectmapper.HollowPrimaryKey;
import com.netflix.hollow.core.write.objectmapper.HollowTypeName;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/** The catalog workload, as benches/engine/WORKLOAD.md defines it: records, change sets, read keys. */
final class Workload {
    static final int WORDS = 4096, COUNTRIES = 200, GENRES = 40;
    static final String[] WORD = new String[WORDS], COUNTRY = new String[COUNTRIES], GENRE = new String[GENRES];
    private static final int[] CUMULATED = new int[COUNTRIES];
    private static final int ACTOR_STREAM = 1, MOVIE_STREAM = 2, CHANGE_STREAM = 3, KEY_STREAM = 4, WORD_STREAM = 5;

    /** The mapping "hollow": what Hollow does by default, but for the synopsis, which is inline. */
    @HollowPrimaryKey(fields = "id")
    static class Movie {
        long id;
        String title;
        int year;
        float rating;
        int runtimeMinutes;
        String country;
        List<String> genres;
        List<Actor> cast;
        @HollowInline String synopsis;

        /** A new object, as a source would give; the old one stays what it is. */
        Movie with(int ratingInteger, int runtime) {
            Movie movie = new Movie();
            movie.id = id;
            movie.title = title;
            movie.year = year;
            movie.rating = rating(ratingInteger);
            movie.runtimeMinutes = runtime;
            movie.country = country;
            movie.genres = genres;
            movie.cast = cast;
            movie.synopsis = synopsis;
            return movie;
        }
    }

    /** The mapping "hollow-ref": the synopsis is a reference like the other strings. */
    @HollowPrimaryKey(fields = "id")
    @HollowTypeName(name = "Movie")
    static class MovieRef {
        long id;
        String title;
        int year;
        float rating;
        int runtimeMinutes;
        String country;
        List<String> genres;
        List<Actor> cast;
        String synopsis;

        MovieRef(Movie movie) {
            id = movie.id;
            title = movie.title;
            year = movie.year;
            rating = movie.rating;
            runtimeMinutes = movie.runtimeMinutes;
            country = movie.country;
            genres = movie.genres;
            cast = movie.cast;
            synopsis = movie.synopsis;
        }
    }

    static class Actor {
        int actorId;
        String name;
    }

    /** The new ratings and runtimes of a change set, by place. */
    static final class Changes {
        int[] ids, ratingIntegers, runtimes;
    }

    static {
        String consonants = "bcdfghjklmnprstvwz", vowels = "aeiou";
        for (int j = 0; j < WORDS; j++) {
            Stream stream = new Stream(WORD_STREAM, j);
            int length = 2 + stream.below(8);
            StringBuilder word = new StringBuilder();
            for (int k = 0; k < length; k++) {
                word.append((k & 1) == 0 ? consonants.charAt(stream.below(18)) : vowels.charAt(stream.below(5)));
            }
            WORD[j] = word.toString();
        }
        int cumulated = 0;
        for (int j = 0; j < COUNTRIES; j++) {
            COUNTRY[j] = String.format("country-%03d", j);
            cumulated += 1_000_000 / (j + 1);
            CUMULATED[j] = cumulated;
        }
        for (int j = 0; j < GENRES; j++) GENRE[j] = String.format("genre-%02d", j);
    }

    private static final class Stream {
        private long state;

        Stream(long subject, long number) { state = mix(mix(42L + subject) + number); }

        int below(int end) {
            state += 0x9E3779B97F4A7C15L;
            return (int) ((mix(state) >>> 33) % end);
        }

        private static long mix(long z) {
            z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
            z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
            return z ^ (z >>> 31);
        }
    }

    final int records;
    final Actor[] actors;
    /** The rating integers and runtimes as they are now. */
    final int[] ratingIntegers, runtimes;
    /** What reads must add up to, by record and by country. */
    final int[] titleSums, years, castSums, perCountry = new int[COUNTRIES];

    Workload(int records) {
        this.records = records;
        actors = new Actor[records / 5];
        for (int a = 0; a < actors.length; a++) actors[a] = actor(a);
        ratingIntegers = new int[records];
        runtimes = new int[records];
        titleSums = new int[records];
        years = new int[records];
        castSums = new int[records];
        // Only numbers are kept; a consumer must not hold what it is measured against.
        for (int i = 0; i < records; i++) {
            Movie movie = movie(i);
            titleSums[i] = movie.title.length() + movie.title.charAt(0);
            years[i] = movie.year;
            for (Actor actor : movie.cast) castSums[i] += actor.name.length() + actor.name.charAt(0);
            perCountry[Integer.parseInt(movie.country.substring("country-".length()))]++;
            ratingIntegers[i] = Math.round(movie.rating * 100);
            runtimes[i] = movie.runtimeMinutes;
        }
    }

    static float rating(int integer) { return (float) integer / 100.0f; }

    /** Movie i as it was before any change. */
    Movie movie(int i) {
        Stream stream = new Stream(MOVIE_STREAM, i);
        Movie movie = new Movie();
        movie.id = i;
        movie.title = text(stream, 6, 40);
        movie.year = 1920 + stream.below(106);
        movie.rating = rating(stream.below(1001));
        movie.runtimeMinutes = 40 + stream.below(201);
        int drawn = stream.below(CUMULATED[COUNTRIES - 1]), country = 0;
        while (CUMULATED[country] <= drawn) country++;
        movie.country = COUNTRY[country];
        movie.genres = new ArrayList<>();
        for (int g : distinct(stream, 1 + stream.below(4), GENRES)) movie.genres.add(GENRE[g]);
        movie.cast = new ArrayList<>();
        for (int a : distinct(stream, 3 + stream.below(8), actors.length)) movie.cast.add(actors[a]);
        movie.synopsis = text(stream, 50, 300);
        return movie;
    }

    /** Movie i as it is now. */
    Movie current(int i) { return movie(i).with(ratingIntegers[i], runtimes[i]); }

    /** Makes a change set, on the numbers that hold now. */
    Changes change(int size, int repetition) {
        Stream stream = new Stream(CHANGE_STREAM, (long) size * 1000L + repetition);
        Changes changes = new Changes();
        changes.ids = new int[size];
        changes.ratingIntegers = new int[size];
        changes.runtimes = new int[size];
        BitSet used = new BitSet(records);
        for (int j = 0; j < size; j++) {
            int id = stream.below(records);
            while (used.get(id)) id = (id + 1) % records;
            used.set(id);
            int rating = stream.below(1001);
            if (rating == ratingIntegers[id]) rating = (rating + 1) % 1001;
            int runtime = 40 + stream.below(201);
            changes.ids[j] = id;
            changes.ratingIntegers[j] = ratingIntegers[id] = rating;
            changes.runtimes[j] = runtimes[id] = runtime;
        }
        return changes;
    }

    long[] readKeys(int thread, int count) {
        Stream stream = new Stream(KEY_STREAM, thread);
        long[] keys = new long[count];
        for (int i = 0; i < count; i++) keys[i] = stream.below(records);
        return keys;
    }

    int[] sizes() {
        return records < 1_000 ? new int[] {10} : records < 100_000 ? new int[] {10, 1_000} : new int[] {10, 1_000, 100_000};
    }

    private static Actor actor(int a) {
        Stream stream = new Stream(ACTOR_STREAM, a);
        Actor actor = new Actor();
        actor.actorId = a;
        String first = capital(WORD[stream.below(WORDS)]);
        actor.name = first + " " + capital(WORD[stream.below(WORDS)]);
        return actor;
    }

    private static String capital(String word) { return Character.toUpperCase(word.charAt(0)) + word.substring(1); }

    private static int[] distinct(Stream stream, int length, int end) {
        int[] drawn = new int[length];
        for (int j = 0; j < length; j++) {
            int x = stream.below(end);
            while (has(drawn, j, x)) x = (x + 1) % end;
            drawn[j] = x;
        }
        return drawn;
    }

    private static boolean has(int[] drawn, int length, int x) {
        for (int j = 0; j < length; j++) if (drawn[j] == x) return true;
        return false;
    }

    private static String text(Stream stream, int min, int max) {
        int length = min + stream.below(max - min + 1);
        StringBuilder text = new StringBuilder(length + 10);
        while (text.length() < length) {
            if (text.length() > 0) text.append(' ');
            int a = stream.below(WORDS), b = stream.below(WORDS);
            text.append(WORD[Math.min(a, b)]);
        }
        text.setLength(length);
        if (text.charAt(length - 1) == ' ') text.setCharAt(length - 1, '.');
        return text.toString();
    }

    /** The hash of all canonical lines; the same as the Rust side's, or neither means anything. */
    long hash() {
        long hash = 0xcbf29ce484222325L;
        for (int i = 0; i < records; i++) {
            String line = line(movie(i));
            for (int at = 0; at < line.length(); at++) hash = (hash ^ line.charAt(at)) * 0x100000001b3L;
        }
        return hash;
    }

    private static String line(Movie movie) {
        int k = Math.round(movie.rating * 100);
        StringBuilder line = new StringBuilder();
        line.append("{\"id\":").append(movie.id).append(",\"title\":\"").append(movie.title).append("\",\"year\":").append(movie.year);
        line.append(",\"rating\":").append(k / 100).append('.').append(k / 10 % 10).append(k % 10);
        line.append(",\"runtime_minutes\":").append(movie.runtimeMinutes).append(",\"country\":\"").append(movie.country);
        line.append("\",\"genres\":[\"").append(String.join("\",\"", movie.genres)).append("\"],\"cast\":[");
        for (Actor actor : movie.cast) {
            if (actor != movie.cast.get(0)) line.append(',');
            line.append("{\"actor_id\":").append(actor.actorId).append(",\"name\":\"").append(actor.name).append("\"}");
        }
        return line.append("],\"synopsis\":\"").append(movie.synopsis).append("\"}\n").toString();
    }
}
