#!/usr/bin/perl

# What tollgate_owned_objects remembers lives through reloads, with state= through restarts and the death of all
# processes, and not longer than ttl=. Without it, what clients keep is closed.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/keys_file status/;
use Tollgate::Client;
use Tollgate::Conf;
use Tollgate::Metered;

use Time::HiRes qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# nginx logs an alert for a worker that was killed.
my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->todo_alerts()->plan(56);

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone           zone=tollgate:1m state=%%TESTDIR%%/state/limits;
    tollgate_owned_objects  zone=objects:128k state=%%TESTDIR%%/state/objects;

    tollgate_tier          plain    { }
    tollgate_tier          counted  { requests 100000r/m; }
    tollgate_default_tier  plain;
    tollgate_api_keys      keys.json;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate  on;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /opened/ {
            tollgate_endpoints  +*:/v1/*;
            rewrite             ^/opened(.*) $1 break;
            proxy_pass          http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        location / {
            return 200 '{"id":"$http_x_makes","object":"file"}';
        }
    }
}

EOC

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file(map { { key => "key-$_", client => $_ } } qw/a b/));
mkdir $t->testdir() . '/state' or die "Can't make a folder: $!\n";
my $path = $t->testdir() . '/state/objects';
is_deeply([(configtest($t, $conf))[0], -e $path ? 'a file' : ''], [0, ''], 'no file yet: nginx -t');
$t->run();

###############################################################################

makes('a', 'one');
makes('b', 'two');
everything_is_there('at first');
is((stat $path)[2] & 07777, 0600, 'nobody else may read the file') if ok(saved(), 'it is written');
unlike($t->read_file('state/objects'), qr/one|key-a/, 'no ids and no names are in it');

$t->stop();
$t->run();
everything_is_there('stop and start');

makes('a', 'three');
saved();
kill_all($t);
$t->run();
everything_is_there('killed');
is(reaches('a', 'three'), 200, 'killed: what came later');

# What was made a moment before the end.
makes('a', 'four');
$t->stop();
$t->run();
is(reaches('a', 'four'), 200, 'stopped at once');

reload_and_wait($t);
everything_is_there('reload');
saved();
for my $size ('1m', '64k', '128k') {
	(my $other = $conf) =~ s/objects:128k/objects:$size/;
	$t->write_file_expand('nginx.conf', $other);
	reload_and_wait($t);
	everything_is_there("a zone of $size");
	saved();
}

# A zone of another kind has the name.
for my $names ('objects:1m tollgate:128k', 'tollgate:1m objects:128k') {
	my ($zone, $objects) = split / /, $names;
	(my $other = $conf) =~ s/zone=tollgate:1m/zone=$zone/;
	$other =~ s/zone=objects:128k/zone=$objects/;
	$t->write_file_expand('nginx.conf', $other);
	saved();
	reload_and_wait($t);
	everything_is_there("names: $names");
}

# damaged and foreign files

$t->stop();
my $good = $t->read_file('state/objects');
my %damaged = (
	'empty' => '',
	'half of it' => substr($good, 0, length($good) / 2),
	'a byte too much' => "$good\0",
	'a byte changed' => do { my $other = $good; substr($other, 40, 1) ^= "\1"; $other },
	'something else' => "user nobody;\n" x 20,
	'another version' => do { my $other = $good; substr($other, 8, 1) = "\x63"; $other },
	'that of limits' => $t->read_file('state/limits'),
);
for my $name (sort keys %damaged) {
	$t->write_file('state/objects', $damaged{$name});
	my ($status, $output) = configtest($t, $conf);
	ok($status != 0 && $output =~ /\[emerg\].*tollgate_owned_objects "objects".*\Q$path\E/, "$name: nginx -t refuses")
		or diag($output);
	ok($t->read_file('state/objects') eq $damaged{$name}, "$name: and leaves it alone");
}
$t->write_file('state/objects', $good);
$t->write_file_expand('nginx.conf', $conf);
$t->run();
everything_is_there('the good one');

# Without a file, a restart forgets; ttl= ends it sooner.

$t->stop();
(my $short = $conf) =~ s! state=\S+/objects;! ttl=1s;!;
$t->write_file_expand('nginx.conf', $short);
$t->run();
is(reaches('a', 'one'), 404, 'without a state, a restart forgets');
makes('a', 'five');
is(reaches('a', 'five'), 200, 'a short time: it is there');
ok((poll { Time::HiRes::sleep(2.1); reaches('a', 'five') == 404 }), 'and then not');
makes('b', 'five');
is(reaches('b', 'five'), 200, 'and nobody\'s');

# Without it, nothing of that is open.

(my $without = $conf) =~ s/tollgate_owned_objects .*//;
$t->write_file_expand('nginx.conf', $without);
reload_and_wait($t);
for my $request ('GET /v1/files/one', 'DELETE /v1/files/one', 'GET /v1/files', 'POST /v1/responses/x/cancel',
	'GET /v1/conversations/x/items', 'HEAD /V1/Batches/x/')
{
	is(status(as('a', $request)), 403, "without it: $request");
}
is(status(as('a', $_)), 200, "without it: $_") for 'POST /v1/files', 'GET /opened/v1/files/one', 'GET /v1/models';

###############################################################################

# nginx -t

my $zone = "tollgate_zone zone=tollgate:1m;\ntollgate_tier free { }\n";
check_refused($t, $_) for (
	['no zone', ['takes "zone=NAME:SIZE"'], http => "${zone}tollgate_owned_objects ttl=1d; # !"],
	['too small', ['too small', 'at least 64k'], http => "${zone}tollgate_owned_objects zone=o:32k; # !"],
	['no size', ['takes "zone=NAME:SIZE"'], http => "${zone}tollgate_owned_objects zone=o; # !"],
	['a ttl of nothing', ['ttl=0'], http => "${zone}tollgate_owned_objects zone=o:1m ttl=0; # !"],
	['twice', ['duplicate'], http => "${zone}tollgate_owned_objects zone=o:1m;\ntollgate_owned_objects zone=p:1m; # !"],
	['something else', ['takes "zone=NAME:SIZE"'], http => "${zone}tollgate_owned_objects zone=o:1m size=3; # !"],
	['one file for two', ['one of its own'], http => "tollgate_zone zone=tollgate:1m state=%%TESTDIR%%/s;\n"
		. "tollgate_tier free { }\ntollgate_owned_objects zone=o:1m state=%%TESTDIR%%/s; # !"],
);
check_accepted($t, ['all of it', http => "${zone}tollgate_owned_objects zone=o:1m ttl=90d state=%%TESTDIR%%/o;",
	location => "$usual{location}\ntollgate_default_tier free;"]);
check_warned($t, ['background', ['tollgate_background on', 'tollgate_owned_objects'],
	http => $zone, location => "$usual{location}\ntollgate_background on;"]);
check_warned($t, ['streams', ['tollgate_resumable_streams on', 'tollgate_owned_objects'],
	http => $zone, location => "$usual{location}\ntollgate_engine llamacpp;\ntollgate_resumable_streams on;"]);
check_accepted($t, ['both, with it', http => "${zone}tollgate_owned_objects zone=o:1m;",
	location => "$usual{location}\ntollgate_default_tier free;\ntollgate_background on;\ntollgate_resumable_streams on;"]);

###############################################################################

sub as {
	my ($client, $text, @lines) = @_;
	return ask(request($text, "X-API-Key: key-$client", 'Content-Length: 0', @lines),
		head => scalar($text =~ /^HEAD/));
}

sub makes {
	my ($client, $id) = @_;
	status(as($client, 'POST /v1/files', "X-Makes: $id")) == 200 or die "A file is not made\n";
}

sub reaches {
	my ($client, $id) = @_;
	return status(as($client, "GET /v1/files/$id"));
}

sub everything_is_there {
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @found = map { reaches(@$_) } ['a', 'one'], ['b', 'one'], ['a', 'two'], ['b', 'two'];
	is("@found", '200 404 404 200', "$name: each has his own");
}

# Waits until the file has all that was made before: until it was written twice, as a write that was under way may
# lack it.
sub saved {
	my ($number, $changed) = (0, 0);
	my $seen = identity();
	return poll {
		makes('a', 'saver-' . ++$number);
		my $now = identity();
		$changed++ if $now ne $seen;
		$seen = $now;
		$changed >= 2;
	};
}

# Each time that it is written it is another file.
sub identity {
	my @stat = Time::HiRes::stat($path);
	return @stat ? "$stat[1] $stat[9]" : '';
}

# Kills master and workers at once.
sub kill_all {
	my ($t) = @_;
	my ($master) = $t->read_file('nginx.pid') =~ /(\d+)/;
	my @workers = workers($t);
	kill 'KILL', $master, @workers;
	waitpid $master, 0;
	poll {
		my @alive = grep { kill 0, $_ } @workers;
		!@alive;
	};
	unlink $t->testdir() . '/nginx.pid';
}

###############################################################################
