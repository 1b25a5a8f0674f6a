#!/usr/bin/perl

# nginx tells in a file what is in force of its keys: what it read, what it refused of that, and which of
# its workers decide by it. The command waits for that, and says what else it finds.

use warnings;
use strict;

use Test::More;

use Config;
use Digest::SHA qw/ sha256_hex /;
use Fcntl;
use JSON::PP qw//;
use Time::HiRes;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ keys_file json /;
use Tollgate::Client;
use Tollgate::Live;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $cli = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $cli;

# nginx logs an alert for the worker that is killed.
my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->todo_alerts()->plan(87);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier free { }
    tollgate_tier pro  { }
    # status here

    add_header X-Reason $tollgate_reason always;
    keepalive_requests 1000000;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081/;
        }

        location /fence {
            tollgate_api_keys fence.json;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /lost {
            tollgate_api_keys %%LOST%%;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /jwt {
            tollgate_auth jwt;
            tollgate_jwt_key_file jwks.json;
            tollgate_jwt_key_file secret;
            tollgate_jwt_algorithms HS256;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /pid {
            tollgate off;
            return 200 $pid;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 $http_x_client_id;
        }
    }
}

EOC

my $d = $t->testdir();
my $file = "$d/nginx.tollgate-status";
my $alice = { id => 'k_alice', key => 'key-alice', client => 'alice', tier => 'free' };
my $bob = { id => 'k_bob', key => 'key-bob', client => 'bob', tier => 'free' };
my ($as_alice, $as_bob) = map { "X-API-Key: key-$_" } qw/alice bob/;

# A file that is gone, but that somebody has: what a mount of a single file is, once it was replaced.
$t->write_file('lost.json', keys_file($alice));
open my $lost, '<', "$d/lost.json" or die "Can't open lost.json: $!\n";
fcntl $lost, F_SETFD, 0;
unlink "$d/lost.json";
my $lost_path = "/proc/$$/fd/" . fileno $lost;
my $has_proc = -e $lost_path;
$conf =~ s/%%LOST%%/$has_proc ? $lost_path : 'keys.json'/e;

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file($alice, $bob));
$t->write_file('fence.json', keys_file($alice));
$t->write_file('jwks.json', json({ keys => [{ kty => 'oct', kid => 'a', k => 'c2Vj' x 16 }] }));
$t->write_file('secret', 'x' x 40);

# Somebody else's, who is gone: that is no reason not to start.
$t->write_file('nginx.tollgate-status', 'something else');
my ($tested) = configtest($t, $conf);
is($tested, 0, 'nginx -t is content');
is($t->read_file('nginx.tollgate-status'), 'something else', 'nginx -t makes no file');
is(command('status')->{status}, 3, 'a file of something else is no status');

$t->run();
live_in($d);

###############################################################################
# what there is at the start

is((stat $file)[2] & 0777, 0640, 'the file is for the group of the workers');
my $status = status_when(sub { of('keys.json')->{workers} == 4 });
is(join(' ', @{$status->{tiers}}), 'free pro', 'the tiers that are declared');
is(scalar(grep { $_->{phase} eq 'running' } @{$status->{workers}}), 4, 'workers');
my $keys = of('keys.json');
is($keys->{files}[0]{sha256}, sha256_hex($t->read_file('keys.json')), 'the digest of what was read');
is($keys->{state}{keys}, 2, 'how many keys there are');
is($keys->{state}{generation}, 1, 'the first generation');
is($keys->{state}{failure}, undef, 'nothing went wrong');
my $tokens = of('jwks.json');
is($tokens->{kind} . ' ' . @{$tokens->{files}}, 'jwt_keys 2', 'keys of tokens: both files');
is($tokens->{files}[1]{sha256}, sha256_hex('x' x 40), 'keys of tokens: a digest for each');

my $text = command('status')->{out};
like($text, qr/keys\.json: API keys\n.*in force +in 4 of 4 workers, since/, 'as text');
my $raw = $t->read_file('nginx.tollgate-status');
unlike($raw, qr/key-alice|alice"|@{[sha256_hex('key-alice')]}|xxxxx/, 'no key, no hash of a key');

SKIP: {
	skip 'no /proc', 3 unless $has_proc;
	like(of($lost_path)->{state}{warnings}[0], qr/has been removed.*mount its folder/,
		'a file that nginx can not see change');
	is(of($lost_path)->{workers}, 4, 'a file that nginx can not see change: is in force');
	like($t->read_file('error.log'), qr/\[warn\].*\Q$lost_path\E.*mount its folder/,
		'a file that nginx can not see change: is warned of');
}

###############################################################################
# waiting

my $made = command(qw/key create --client carol --tier pro --id k_carol --wait/);
is($made->{status}, 0, 'create --wait');
like($made->{err}, qr/In force in all 4 workers/, 'create --wait says so');
my ($carol) = $made->{out} =~ /^(tg_\S+)$/m;
is(everywhere('/', "X-API-Key: $carol"), '200 carol', 'create --wait: it is');

is(command(qw/key revoke --wait k_bob/)->{status}, 0, 'revoke --wait');
is(everywhere('/', $as_bob), '401 revoked_credential', 'revoke --wait: it is');
is(command(qw/key edit --wait k_carol --client dora/)->{status}, 0, 'edit --wait');
is(everywhere('/', "X-API-Key: $carol"), '200 dora', 'edit --wait: it is');
my $rotated = command(qw/key rotate --wait=5s --overlap 0s k_carol/);
is($rotated->{status}, 0, 'rotate --wait');
is(everywhere('/', "X-API-Key: $carol"), '401 revoked_credential', 'rotate --wait: the old one');
chomp(my $next = $rotated->{out});
is(everywhere('/', "X-API-Key: $next"), '200 dora', 'rotate --wait: the new one');
is(command(qw/key disable --wait k_alice/)->{status}, 0, 'disable --wait');
is(everywhere('/', $as_alice), '401 revoked_credential', 'disable --wait: it is');
is(command(qw/key enable --wait k_alice/)->{status}, 0, 'enable --wait');
is(everywhere('/', $as_alice), '200 alice', 'enable --wait: it is');
# What nobody decides by is another file all the same.
is(command(qw/key edit --wait k_alice --description batch/)->{status}, 0, 'a note: --wait');
is(of('keys.json')->{files}[0]{sha256}, sha256_hex($t->read_file('keys.json')), 'a note: the digest');
cmp_ok(of('keys.json')->{state}{generation}, '>=', 7, 'each change is a generation');
is(missing(), '', 'status: all that is in the files is in force');
is(command('status')->{status}, $has_proc ? 1 : 0, 'status: but what nobody sees of the lost file');

# Without --wait nothing is said that isn't known.
my $disabled = command(qw/key disable k_alice/);
like($disabled->{err}, qr/disabled in the file: k_alice\n.*is written.*--wait/s, 'without --wait');
unlike($disabled->{err}, qr/in force in/i, 'without --wait: it is not said to be in force');
command(qw/key enable --wait k_alice/);

###############################################################################
# a mistyped tier

my $mistyped = command(qw/key create --client eve --tier prro --id k_eve/);
is($mistyped->{status}, 0, 'a mistyped tier: is written');
like($mistyped->{err}, qr/key "k_eve": the tier "prro" is not declared.*free, pro/, 'a mistyped tier: is told');
my $again = command(qw/key edit --wait k_eve --tier prrro/);
is($again->{status}, 1, 'a mistyped tier: --wait fails');
like($again->{err}, qr/key "k_eve": the tier "prrro" is not declared/, 'a mistyped tier: and says why');
(my $eve = $mistyped->{out}) =~ s/\s//g;
is(everywhere('/', "X-API-Key: $eve"), '403 tier_denied', 'a mistyped tier: that key is refused');
$keys = of('keys.json');
like($keys->{state}{refused}[0], qr/key "k_eve".*names the tier "prrro"/, 'a mistyped tier: in the status');
is(command('status')->{status}, 1, 'a mistyped tier: the status is not good');
is(command(qw/key revoke --wait k_alice/)->{status}, 0, 'a mistyped tier: others are revoked');
is(everywhere('/', $as_alice), '401 revoked_credential', 'a mistyped tier: they are');
is(command(qw/key edit --wait k_eve --tier pro/)->{status}, 0, 'corrected');
is(everywhere('/', "X-API-Key: $eve"), '200 eve', 'corrected: it is');
is(missing(), '', 'corrected: the status is good');

# a file that can't be read

my $good = $t->read_file('keys.json');
my $generation = of('keys.json')->{state}{generation};
put('keys.json', substr $good, 0, -9);
$status = status_when(sub { of('keys.json')->{state}{failure} });
$keys = of('keys.json');
like($keys->{state}{failure}{error}, qr/is not one json object/, 'a broken file: what is wrong');
is($keys->{state}{failure}{sha256}[0], sha256_hex(substr $good, 0, -9), 'a broken file: which');
is($keys->{state}{generation}, $generation, 'a broken file: what was in force stays');
is($keys->{workers}, 4, 'a broken file: in all workers');
like(command('status')->{out}, qr/not taken +.*is not one json object/, 'a broken file: as text');
is(command('status')->{status}, 1, 'a broken file: the status is not good');
unlink "$d/keys.json";
status_when(sub { of('keys.json')->{state}{failure}{error} =~ /No such file/ });
like(of('keys.json')->{state}{failure}{error}, qr/cannot read.*No such file/, 'a file that is removed');
put('keys.json', $good);
status_when(sub { !of('keys.json')->{state}{failure} });
is(of('keys.json')->{state}{failure}, undef, 'repaired');

# another file

$t->write_file('other.json', keys_file($alice));
my $other = command('key', 'disable', '--file', "$d/other.json", '--wait', 'k_alice');
is($other->{status}, 3, 'a file that nginx does not use: --wait fails');
like($other->{err}, qr/nginx uses other files: .*keys\.json/, 'a file that nginx does not use: which it uses');
symlink 'keys.json', "$d/link.json";
is(command('key', 'enable', '--file', "$d/link.json", '--wait', 'k_eve')->{status}, 0, 'by another name');
my $nowhere = command(qw/key enable --wait k_eve --status-file/, "$d/no-such");
is($nowhere->{status}, 3, 'without a status: --wait fails');
like($nowhere->{err}, qr/is written, but nobody knows.*tollgate_status_file/, 'without a status: why');

###############################################################################
# workers that stand still, die and are replaced

my @pids = map { $_->{pid} } @{status()->{workers}};
kill STOP => $pids[0];
my $late = command(qw/key disable --wait=4s k_eve/);
is($late->{status}, 3, 'a worker stands still: --wait fails');
like($late->{err}, qr/not in force after 4 s: it is in force in 3 of 4 workers/, 'a worker stands still: why');
kill CONT => $pids[0];
is(command(qw/key disable --wait k_eve/)->{status}, 0, 'it goes on');
is(everywhere('/', "X-API-Key: $eve"), '401 revoked_credential', 'it goes on: in all workers');

kill KILL => $pids[1];
status_when(sub { my $s = status(); !grep { $_->{pid} == $pids[1] } @{$s->{workers}} });
status_when(sub { of('keys.json')->{workers} == 4 });
is(of('keys.json')->{workers}, 4, 'a worker is killed: another one takes its place');
is(command(qw/key enable --wait k_eve/)->{status}, 0, 'a worker is killed: changes are in force');
live_in($d);
is(everywhere('/', "X-API-Key: $eve"), '200 eve', 'a worker is killed: in the new one as well');

# A lock says that a worker is there, and nothing is written while nothing changes. One that has no lock
# writes again and again.

ok((poll { is_quiet() }), 'nothing is written while nothing changes');
@pids = map { $_->{pid} } @{status()->{workers}};
SKIP: {
	skip 'no struct flock as on Linux', 9 unless $^O eq 'linux' and $Config{longsize} == 8;
	my ($master) = $t->read_file('nginx.pid') =~ /(\d+)/;
	kill STOP => $master;
	kill KILL => $pids[2];
	status_when(sub { status()->{workers}[2]{phase} eq 'gone' });
	is(status()->{workers}[2]{phase}, 'gone', 'a worker that is killed is gone');
	is(of('keys.json')->{workers}, 3, 'a worker that is killed: does not count');
	my $lock = lock_of($pids[2]);
	ok($lock, 'a worker that is killed: its lock is free');
	kill CONT => $master;
	status_when(sub { of('keys.json')->{workers} == 4 });
	is(of('keys.json')->{workers}, 4, 'without a lock: a worker counts');
	ok((poll { !is_quiet() }), 'without a lock: it writes');
	is(command(qw/key disable --wait k_eve/)->{status}, 0, 'without a lock: a change is in force');
	close $lock;
	ok((poll { is_quiet() }), 'the lock is free again: nothing is written');
	is(of('keys.json')->{workers}, 4, 'the lock is free again: all workers count');
	is(command(qw/key enable --wait k_eve/)->{status}, 0, 'the lock is free again: a change is in force');
}

###############################################################################
# reload: those count that take new requests

@pids = map { $_->{pid} } @{status()->{workers}};
my $late_one = http_begin($pids[0]);
$conf =~ s/worker_processes 4/worker_processes 3/;
$t->write_file_expand('nginx.conf', $conf);
reload_and_wait($t);
$status = status_when(sub { of('keys.json')->{workers} == 3 });
is(scalar(grep { my $pid = $_->{pid}; grep { $_ == $pid } @pids } @{$status->{workers}}), 0,
	'reload: old workers are none of those');
is(of('keys.json')->{workers} . ' of ' . of('keys.json')->{of_workers}, '3 of 3', 'reload: all new ones');
is(command(qw/key disable --wait k_eve/)->{status}, 0, 'reload: --wait');
$late_one->close();

# another place

$conf =~ s/# status here/tollgate_status_file $d\/elsewhere;/;
$t->write_file_expand('nginx.conf', $conf);
reload_and_wait($t);
ok(!-e $file, 'another place: not where it was');
$file = "$d/elsewhere";
status_when(sub { of('keys.json')->{workers} == 3 });
is(command(qw/key enable --wait k_eve/)->{status}, 0, 'another place: --wait');

$conf =~ s/tollgate_status_file \S+;/tollgate_status_file off;/;
$t->write_file_expand('nginx.conf', $conf);
reload_and_wait($t);
ok(!-e $file, 'nowhere');

$conf =~ s/tollgate_status_file off;//;
$t->write_file_expand('nginx.conf', $conf);
reload_and_wait($t);
$file = "$d/nginx.tollgate-status";
status_when(sub { of('keys.json')->{workers} == 3 });
$t->stop();
ok(!-e $file, 'nginx has ended: the file is gone');

###############################################################################

# What the status says isn't in force, but for the file that is lost.
sub missing {
	my @lines = split /\n/, command('status')->{out};
	return join ' ', grep { /^  (not in force|not taken|refused) / && !m{/proc/} } @lines;
}

# Runs the command: its exit status, and what it wrote.
sub command {
	my (@arguments) = @_;
	local $ENV{TOLLGATE_KEYS} = "$d/keys.json";
	local $ENV{TOLLGATE_STATUS} = $file;
	my $pid = fork // die "Can't fork: $!\n";
	if ($pid == 0) {
		open STDOUT, '>', "$d/command.out" or die "Can't write: $!\n";
		open STDERR, '>', "$d/command.err" or die "Can't write: $!\n";
		exec $cli, @arguments or die "Can't run $cli: $!\n";
	}
	waitpid $pid, 0;
	return { status => $? >> 8, out => slurp('command.out'), err => slurp('command.err') };
}

# No sub may refer to $t.
sub slurp {
	my ($name) = @_;
	open my $in, '<', "$d/$name" or die "Can't open $name: $!\n";
	local $/;
	return scalar(<$in>) // '';
}

# What the only nginx says.
sub status {
	my $run = command('status', '--json');
	my $all = eval { JSON::PP::decode_json($run->{out}) } // [];
	return $all->[0] // { workers => [], sets => [] };
}

# What it says of the set with this file.
sub of {
	my ($name) = @_;
	my @sets = grep { grep { $_->{path} =~ /(?:^|\/)\Q$name\E$/ || $_->{path} eq $name } @{$_->{files}} }
		@{status()->{sets}};
	return $sets[0] // { workers => 0, state => {} };
}

# Waits for something in it.
sub status_when {
	my ($is_so) = @_;
	poll { $is_so->() };
	return status();
}

# Whether the file stays as it is for longer than workers need to show a sign of life.
sub is_quiet {
	my $before = (Time::HiRes::stat($file))[9];
	Time::HiRes::sleep(1.8);
	return (Time::HiRes::stat($file))[9] == $before;
}

# Locks what this worker locks, as long as the result is open.
sub lock_of {
	my ($pid) = @_;
	my $at = index slurp('nginx.tollgate-status'), pack 'Q<Q<Q<', $pid, 1, ~0;
	open my $lock, '+<', $file or die "Can't open $file: $!\n";
	my $asked = pack 's s x4 q q i x4', F_WRLCK, 0, $at, 24, 0;
	return $at > 0 && fcntl($lock, F_SETLK, $asked) ? $lock : undef;
}

# A request to this worker that does not come to its end.
sub http_begin {
	my ($pid) = @_;
	my $connections = connections_to_workers(scalar @pids, 1);
	my $connection = $connections->{$pid}[0];
	$connection->send("GET / HTTP/1.1\r\n");
	return $connection;
}

###############################################################################
