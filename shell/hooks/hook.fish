# aws-runas keeps the AWS credentials of this shell fresh. fish 3.1 and later.
set -g __awsrunas_exe @EXE@
set -g __awsrunas_told 0
set -g __awsrunas_try 0

function @FUNCTION@ --description 'switch the AWS profile of this shell'
    __awsrunas_ask __switch fish @FUNCTION@ $argv
    set -l code $status
    switch $code
        case 0
            set -g __awsrunas_told 0
            set -g __awsrunas_try 0
        case @NOSWITCH@
            $__awsrunas_exe $argv
        case '*'
            return $code
    end
end

# Evaluates the program's answer, which fish_trace is not to show.
function __awsrunas_ask
    set -l fish_trace
    set -l out ($__awsrunas_exe $argv)
    set -l code $status
    test $code -eq 0; and string join \n -- $out | source
    return $code
end

# The seconds since 1970, without a fork from fish 3.6 on.
if builtin -q path
    function __awsrunas_now
        math (path mtime /) + (path mtime -R /)
    end
else
    function __awsrunas_now
        command date +%s
    end
end

# Renews, and removes what has expired nevertheless. A failure is followed by
# another attempt after 30 s, and by one at the expiry.
function __awsrunas_due --argument-names now ran
    set -l expired $AWSRUNAS_EXPIRES_AT
    set -l profile "$AWSRUNAS_PROFILE"
    if test $now -ge $__awsrunas_try
        # Set before the attempt, which Ctrl-C may end.
        set -g __awsrunas_try (math $now + 30)
        test $now -lt $expired -a $expired -lt $__awsrunas_try; and set -g __awsrunas_try $expired
        set -l code 127
        if test -x $__awsrunas_exe
            __awsrunas_ask env --renew --no-input --shell fish --function @FUNCTION@ --told $__awsrunas_told
            set code $status
            if test $code -eq 0
                test "$AWSRUNAS_REFRESH_AT" -gt (__awsrunas_now) 2>/dev/null; and set -g __awsrunas_try 0
            end
        else if test $__awsrunas_told -ne 127
            echo "aws-runas: $__awsrunas_exe is not there, so nothing is renewed" >&2
        end
        set -g __awsrunas_told $code
        set now (__awsrunas_now)
    end
    if test "$AWSRUNAS_EXPIRES_AT" = $expired -a $now -ge $expired
        __awsrunas_remove
        set -l name (string replace -ra '\p{Cc}' '?' -- "$profile")
        echo "aws-runas: the credentials of $name have expired and are removed: @FUNCTION@ - gets new ones" >&2
    end
    if test -n "$ran" -a $now -ge $expired; and not set -q __awsrunas_hinted
        if test (math "floor($now - $ran / 1000)") -lt $expired
            set -g __awsrunas_hinted
            set -l name (string escape -- "$profile")
            echo "hint: aws-runas $name -- COMMAND renews while it runs" >&2
        end
    end
end

# Takes back all that was exported. Changed since, it is the user's: only the
# program can tell; where it cannot, all goes.
function __awsrunas_remove
    set -l previous "$AWSRUNAS_RENEW"
    set -l before "$AWSRUNAS_BEFORE"
    test -x $__awsrunas_exe; and __awsrunas_ask env --unset --shell fish
    if set -q AWSRUNAS_KEY_ID
        for name in (string replace -r ':.*' '' -- (string split -- , "$AWSRUNAS_EXPORTS") | string match -r '^AWS\w*$')
            set -e $name
        end
        __awsrunas_forget
    end
    set -gx AWSRUNAS_PREVIOUS $previous
    test -n "$before"; and set -gx AWSRUNAS_BEFORE $before
end

# Removes the marks alone.
function __awsrunas_forget
    set -gx AWSRUNAS_PREVIOUS "$AWSRUNAS_RENEW"
    test "$AWSUME_PROFILE" = "$AWSRUNAS_PROFILE"; and set -e AWSUME_PROFILE
    for name in PROFILE ACCOUNT KEY_ID EXPIRES_AT REFRESH_AT RENEW EXPORTS BEFORE
        set -e AWSRUNAS_$name
    end
end

# Enters the profile that the nearest .awsprofile names, or leaves the last one.
function __awsrunas_folder
    set -l file
    set -l written
    set -l name
    if test "$AWSRUNAS_AUTO" = 1
        set -l dir $PWD
        while true
            if test -f $dir/.awsprofile -a -r $dir/.awsprofile
                set file $dir/.awsprofile
                builtin -q path; and set written (path mtime $file)
                break
            end
            string match -q '*/*' -- $dir; or break
            set dir (string replace -r '/[^/]*$' '' -- $dir)
        end
    end
    test "$file $written" = "$__awsrunas_file"; and return
    set -g __awsrunas_file "$file $written"
    if test -n "$file"
        if test -O $file
            read -n 256 name <$file
        else
            echo "aws-runas: "(string replace -ra '\p{Cc}' '?' -- $file)" belongs to another user and is not read" >&2
        end
    end
    set name (string trim -- "$name")
    if test -n "$name"
        # it is there, or another tool's keys are
        test "$name" = "$AWSRUNAS_PROFILE" -o "$AWS_ACCESS_KEY_ID" != "$AWSRUNAS_KEY_ID"; and return
        if __awsrunas_ask env --enter=$name --no-input --shell fish --function @FUNCTION@
            set -g __awsrunas_told 0
            set -g __awsrunas_try 0
            return
        end
    end
    if test -n "$AWSRUNAS_BEFORE"
        if __awsrunas_ask env --leave --no-input --shell fish --function @FUNCTION@
            set -g __awsrunas_told 0
            set -g __awsrunas_try 0
        else
            __awsrunas_remove
        end
        set -e AWSRUNAS_BEFORE
    end
end

# Keeps AWSRUNAS_PROMPT current.
function __awsrunas_show --argument-names now
    set -l text
    set -l name
    if test -n "$AWSRUNAS_PROFILE"
        set name (string replace -ra '\p{Cc}' '?' -- $AWSRUNAS_PROFILE)
        set text $name
        if test -n "$now"
            set -l left (math $AWSRUNAS_EXPIRES_AT - $now)
            if test $left -ge 3600
                set text "$text "(math -s0 $left / 3600)h(printf %02d (math -s0 $left % 3600 / 60))m
            else if test $left -ge 60
                set text "$text "(math -s0 $left / 60)m
            else
                set text "$text $left"s
            end
        end
        if test "$AWSRUNAS_DEPTH" -gt 1 2>/dev/null
            set text "$text ($AWSRUNAS_DEPTH)"
        end
    end
    set -l warn '*prod*'
    set -q AWSRUNAS_WARN; and set warn $AWSRUNAS_WARN
    test "$text" = "$AWSRUNAS_PROMPT" -a "$warn" = "$__awsrunas_warn"; and return
    set -g __awsrunas_warn "$warn"
    set -g __awsrunas_segment
    if test -z "$text"
        set -e AWSRUNAS_PROMPT
        return
    end
    set -gx AWSRUNAS_PROMPT $text
    set -l mark
    for glob in (string split -n -- ' ' (string replace -a , ' ' -- $warn))
        string match -q -- $glob $name; and set mark '! '
    end
    if test -n "$NO_COLOR" -o -z "$TERM" -o "$TERM" = dumb
        set __awsrunas_segment "[$mark$text] "
    else if test -n "$mark"
        set __awsrunas_segment (set_color -o -b red white)"[$text]"(set_color normal)" "
    else
        set __awsrunas_segment (set_color cyan)"[$text]"(set_color normal)" "
    end
end

if status is-interactive
    function __awsrunas_preexec --on-event fish_preexec
        set -g __awsrunas_ran 1
    end

    # The hook runs at every prompt: builtins alone, until something is due. fish
    # itself keeps the status of the last command.
    function __awsrunas_hook --on-event fish_prompt
        set -l now
        set -l ran
        if set -q __awsrunas_ran
            set ran "$CMD_DURATION" # milliseconds
            set -e __awsrunas_ran
        end
        if set -q AWSRUNAS_KEY_ID; and test "$AWS_ACCESS_KEY_ID" != "$AWSRUNAS_KEY_ID"
            __awsrunas_forget # another tool has taken over
        end
        if test "$AWSRUNAS_AUTO" = 1 -o -n "$AWSRUNAS_BEFORE"
            __awsrunas_folder
        end
        if set -q AWSRUNAS_KEY_ID; and set -q AWSRUNAS_EXPIRES_AT
            set -l due "$AWSRUNAS_REFRESH_AT"
            test -n "$due"; or set due $AWSRUNAS_EXPIRES_AT
            if string match -qr '^\d+$' -- $AWSRUNAS_EXPIRES_AT; and string match -qr '^\d+$' -- $due
                set now (__awsrunas_now)
                if test $now -ge $due
                    __awsrunas_show $now # Ctrl-C ends the hook, too
                    __awsrunas_due $now "$ran"
                    set -q AWSRUNAS_EXPIRES_AT; or set now
                end
            else
                __awsrunas_remove
            end
        end
        __awsrunas_show $now
        test -n "$__awsrunas_segment"; and __awsrunas_wrap
    end

    # Puts the segment before the prompt, whichever that is now. The prompt runs
    # first, so that it sees $status and $pipestatus.
    function __awsrunas_wrap
        test "$AWSRUNAS_SEGMENT" = off; and return
        functions fish_prompt | string match -qr 'starship|POSH|AWSRUNAS_PROMPT|__awsrunas_draw'; and return
        functions --erase __awsrunas_fish_prompt
        functions --copy fish_prompt __awsrunas_fish_prompt; or return
        function fish_prompt
            __awsrunas_fish_prompt $argv | __awsrunas_draw
        end
    end

    function __awsrunas_draw
        read --null --local prompt
        echo -n "$__awsrunas_segment$prompt"
    end
end
