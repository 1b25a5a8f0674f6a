package Tollgate::Classifier;

# What servers with classifiers answer: vLLM's /classify and its chat completions with Llama Guard, OpenAI's
# moderations, Presidio's analyzer. A text with "attack" in it is one that they refuse, with a score of 0.97.

use strict;
use warnings;

use Exporter qw/import/;
use JSON::PP qw//;
use Tollgate qw/json/;

our @EXPORT_OK = qw/judged/;

my ($true, $false) = (JSON::PP::true(), JSON::PP::false());

my %judges = (
	moderation => \&_moderation,
	'llama-guard' => \&_llama_guard,
	classify => \&_classify,
	presidio => \&_presidio,
);

# Status and body of the answer to a question in this format. $limit: the longest text, in bytes, that the model takes.
sub judged {
	my ($format, $question, $limit) = @_;
	my $body = eval { JSON::PP->new->utf8->decode($question) }
		// return (400, json({ error => { message => 'no JSON', type => 'BadRequestError', code => 400 } }));
	return $judges{$format}->($body, $limit);
}

# The texts of a question, of which a list may have one alone.
sub _texts {
	my ($value) = @_;
	return ref $value ? @$value : ($value);
}

sub _is_attack {
	my ($text) = @_;
	return $text =~ /attack/i;
}

sub _is_too_long {
	my ($limit, @texts) = @_;
	return defined $limit && grep { utf8::encode(my $bytes = $_); length $bytes > $limit } @texts;
}

# vLLM, when a text has more tokens than its model takes.
sub _too_long {
	return (400, json({ error => { message => 'This model\'s maximum context length is 512 tokens.',
		type => 'BadRequestError', param => 'input_tokens', code => 400 } }));
}

sub _moderation {
	my ($body) = @_;
	my @results = map {
		my $is_attack = _is_attack($_);
		my %scores = ('harassment' => 0.0004, 'violence' => $is_attack ? 0.97 : 0.002, 'self-harm/intent' => 0.0001);
		{
			flagged => $is_attack ? $true : $false,
			categories => { map { $_ => $scores{$_} > 0.5 ? $true : $false } keys %scores },
			category_scores => \%scores,
			category_applied_input_types => { map { $_ => ['text'] } keys %scores },
		}
	} _texts($body->{input});
	return (200, json({ id => 'modr-1', model => $body->{model} // 'omni-moderation-latest', results => \@results }));
}

sub _llama_guard {
	my ($body, $limit) = @_;
	my @texts = map { $_->{content} } @{$body->{messages}};
	return _too_long() if _is_too_long($limit, @texts);
	my $content = _is_attack($texts[-1]) ? "\n\nunsafe\nS1,S9" : "\n\nsafe";
	return (200, json({ id => 'chatcmpl-1', object => 'chat.completion', created => 1, model => $body->{model},
		choices => [{ index => 0, message => { role => 'assistant', content => $content, tool_calls => [] },
			logprobs => undef, finish_reason => 'stop', stop_reason => undef }],
		usage => { prompt_tokens => 200, total_tokens => 205, completion_tokens => 5 } }));
}

sub _classify {
	my ($body, $limit) = @_;
	my @texts = _texts($body->{input});
	return _too_long() if _is_too_long($limit, @texts);
	my $index = 0;
	my @data = map {
		my $score = _is_attack($_) ? 0.97 : 0.01;
		{ index => $index++, label => $score > 0.5 ? 'LABEL_1' : 'LABEL_0', probs => [1 - $score, $score],
			num_classes => 2 }
	} @texts;
	return (200, json({ id => 'classify-1', object => 'list', created => 1, model => $body->{model} // 'guard',
		data => \@data, usage => { prompt_tokens => 9, total_tokens => 9, completion_tokens => 0,
			prompt_tokens_details => undef } }));
}

sub _presidio {
	my ($body) = @_;
	my @texts = _texts($body->{text});
	return (500, json({ error => 'No text provided' })) if !@texts or grep { $_ eq '' } @texts;
	return (500, json({ error => 'No language provided' })) unless $body->{language};
	my @found = map {
		my $text = $_;
		my @found;
		while ($text =~ /attack/gi) {
			push @found, { analysis_explanation => undef, start => $-[0], end => $+[0], entity_type => 'PERSON',
				score => 0.97 } if 0.97 >= ($body->{score_threshold} // 0);
		}
		\@found;
	} @texts;
	return (200, json(ref $body->{text} ? \@found : $found[0]));
}

1;
